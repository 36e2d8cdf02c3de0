#!/bin/sh
# The campaign of examples/campaigns/dev-weekly.yaml, first by the AWS CLI and then by Patchtide's own command; either will do.
# Both want credentials and the Region of the hub.
set -eu
cd "$(dirname "$0")"

stack=${PATCHTIDE_STACK:-patchtide}
table=$(aws cloudformation describe-stacks --stack-name "$stack" \
  --query "Stacks[0].Outputs[?OutputKey=='CampaignsTableName'].OutputValue" --output text)

# As DynamoDB writes it: S is text, N a number, BOOL true or false, L a list, M a map. It replaces the whole item.
aws dynamodb put-item --table-name "$table" --item '{
  "campaign": {"S": "dev-weekly"},
  "schedule": {"S": "cron(0 22 ? * SAT *)"},
  "duration": {"N": "4"},
  "accounts": {"L": [{"S": "111122223333"}]},
  "regions": {"L": [{"S": "eu-west-1"}]},
  "targets": {"S": "tag:PatchGroup=dev"}
}'

# Some seconds later the service has answered on the item: VALID, or INVALID and why.
sleep "${PATCHTIDE_WAIT:-10}"
aws dynamodb get-item --table-name "$table" --key '{"campaign": {"S": "dev-weekly"}}' --consistent-read \
  --query 'Item.{status: status.S, message: statusMessage.S, nextRun: nextRunAt.S}'

# The command checks the file first, writes only what differs, says on the item who wrote it, and waits for the answer.
patchtide campaign apply --stack "$stack" campaigns/dev-weekly.yaml
