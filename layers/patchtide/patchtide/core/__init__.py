"""Values and rules: no boto3, no clock, no environment, no logging. Whatever a rule needs comes in as a parameter."""
