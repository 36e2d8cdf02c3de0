# The campaign of examples/campaigns/dev-weekly.yaml, kept by Terraform as an item of the hub's table.
#
# The service answers on the same item: status, statusMessage, nextRunAt and so on. The provider compares whole items, so every
# plan shows those fields as going to be removed. Applying that does no harm: the service writes them again within seconds, and the
# version in force stays the one in force. Do not have the resource replaced to be rid of the noise: while the item is
# gone, a run that is under way starts nothing more.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "hub_stack" {
  description = "The hub's stack, in the account and Region of the provider"
  type        = string
  default     = "patchtide"
}

data "aws_cloudformation_stack" "hub" {
  name = var.hub_stack
}

resource "aws_dynamodb_table_item" "dev_weekly" {
  table_name = data.aws_cloudformation_stack.hub.outputs["CampaignsTableName"]
  hash_key   = "campaign"

  # As DynamoDB writes it: S is text, N a number, BOOL true or false, L a list, M a map.
  item = jsonencode({
    campaign = { S = "dev-weekly" }
    schedule = { S = "cron(0 22 ? * SAT *)" }
    duration = { N = "4" }
    accounts = { L = [{ S = "111122223333" }] }
    regions  = { L = [{ S = "eu-west-1" }] }
    targets  = { S = "tag:PatchGroup=dev" }
  })
}
