"""The only folder that imports boto3: AWS's words become our values here, and AWS's errors become ours."""
