output "settings" {
  description = "Settings of the service, by their names."
  value = {
    S3_BUCKET       = var.bucket
    AWS_REGION      = var.region
    S3_ACL          = "" # the policy makes the bucket public
    PUBLIC_BASE_URL = "https://${try(var.aliases[0], aws_cloudfront_distribution.images.domain_name)}"
    CDN_PURGE       = "cloudfront:${aws_cloudfront_distribution.images.id}"
  }
}

output "user" {
  description = "User of the service, which needs an access key."
  value       = aws_iam_user.service.name
}

output "undelivered_queue_url" {
  description = "Queue of the events that the service did not accept; null without events."
  value       = one(aws_sqs_queue.undelivered[*].url)
}
