# The bucket belongs to the site, and so do its versions, its CORS configuration and its public access block. Only its
# policy is managed here: this replaces the policy that it has.
data "aws_s3_bucket" "images" {
  bucket = var.bucket
}

data "aws_iam_policy_document" "bucket" {
  # Browsers read pictures through CloudFront.
  statement {
    sid       = "ReadByDistribution"
    actions   = ["s3:GetObject"]
    resources = ["${data.aws_s3_bucket.images.arn}/*"]

    principals {
      type        = "Service"
      identifiers = ["cloudfront.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "AWS:SourceArn"
      values   = [aws_cloudfront_distribution.images.arn]
    }
  }

  # Old pages, feeds and apps may link to the bucket itself.
  dynamic "statement" {
    for_each = var.is_public_beside_cdn ? ["*"] : []

    content {
      sid       = "ReadByAnyone"
      actions   = ["s3:GetObject"]
      resources = ["${data.aws_s3_bucket.images.arn}/*"]

      principals {
        type        = "*"
        identifiers = [statement.value]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "images" {
  bucket = data.aws_s3_bucket.images.id
  policy = data.aws_iam_policy_document.bucket.json
}
