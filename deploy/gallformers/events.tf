# Bucket -> EventBridge -> POST /v1/events/s3. An original that the site stored, and for which it sent no webhook, is then
# rendered too. Events may be late, repeated and out of order; the service allows for all of that.
locals {
  has_events = nonsensitive(var.events_token != "")
  # The service's own writes are no originals, so they cause no event.
  original_keys = [for prefix in var.originals : { wildcard = "${prefix}*_original.*" }]
}

resource "aws_s3_bucket_notification" "images" {
  count       = local.has_events ? 1 : 0
  bucket      = data.aws_s3_bucket.images.id
  eventbridge = true
}

resource "aws_cloudwatch_event_rule" "originals" {
  count       = local.has_events ? 1 : 0
  name        = "${var.name}-originals"
  description = "Originals that were stored or removed"

  event_pattern = jsonencode({
    source        = ["aws.s3"]
    "detail-type" = ["Object Created", "Object Deleted"]
    detail = {
      bucket = { name = [var.bucket] }
      object = { key = local.original_keys }
    }
  })
}

resource "aws_cloudwatch_event_connection" "service" {
  count              = local.has_events ? 1 : 0
  name               = var.name
  description        = "The token of POST /v1/events/s3"
  authorization_type = "BASIC"

  auth_parameters {
    basic {
      username = "events"
      password = var.events_token
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "service" {
  count                            = local.has_events ? 1 : 0
  name                             = var.name
  description                      = "The image service"
  connection_arn                   = aws_cloudwatch_event_connection.service[0].arn
  invocation_endpoint              = "${var.service_url}/v1/events/s3"
  http_method                      = "POST"
  invocation_rate_limit_per_second = 10
}

# Events that the service did not accept within a day.
resource "aws_sqs_queue" "undelivered" {
  count                     = local.has_events ? 1 : 0
  name                      = "${var.name}-undelivered"
  message_retention_seconds = 1209600
}

data "aws_iam_policy_document" "undelivered" {
  count = local.has_events ? 1 : 0

  # Only this rule puts events there.
  statement {
    sid       = "PutByRule"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.undelivered[0].arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.originals[0].arn]
    }
  }
}

resource "aws_sqs_queue_policy" "undelivered" {
  count     = local.has_events ? 1 : 0
  queue_url = aws_sqs_queue.undelivered[0].id
  policy    = data.aws_iam_policy_document.undelivered[0].json
}

data "aws_iam_policy_document" "events_trust" {
  count = local.has_events ? 1 : 0

  # EventBridge acts as this role when it calls the service.
  statement {
    sid     = "Assume"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "events" {
  count = local.has_events ? 1 : 0

  # It may call the service, and nothing else.
  statement {
    sid       = "Call"
    actions   = ["events:InvokeApiDestination"]
    resources = [aws_cloudwatch_event_api_destination.service[0].arn]
  }
}

resource "aws_iam_role" "events" {
  count              = local.has_events ? 1 : 0
  name               = "${var.name}-events"
  assume_role_policy = data.aws_iam_policy_document.events_trust[0].json
}

resource "aws_iam_role_policy" "events" {
  count  = local.has_events ? 1 : 0
  name   = "call"
  role   = aws_iam_role.events[0].id
  policy = data.aws_iam_policy_document.events[0].json
}

resource "aws_cloudwatch_event_target" "service" {
  count    = local.has_events ? 1 : 0
  rule     = aws_cloudwatch_event_rule.originals[0].name
  arn      = aws_cloudwatch_event_api_destination.service[0].arn
  role_arn = aws_iam_role.events[0].arn

  dead_letter_config {
    arn = aws_sqs_queue.undelivered[0].arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }
}
