locals {
  # The service reads originals, and writes derivatives beside them. It also writes below `shadow/` and `replaced/` for a
  # cut-over, and its write probe. Articles, and whatever else the site stores, are out of its reach.
  object_prefixes = concat(var.originals, ["shadow/", "replaced/", "gallformers-images/"])
  object_arns     = [for prefix in local.object_prefixes : "${data.aws_s3_bucket.images.arn}/${prefix}*"]
}

data "aws_iam_policy_document" "service" {
  # Originals are rendered. Derivatives are looked up, streamed and copied. The write probe is read back.
  statement {
    sid       = "Read"
    actions   = ["s3:GetObject"]
    resources = local.object_arns
  }

  # Derivatives and the write probe are stored. Without s3:PutObjectAcl, because the policy makes the bucket public.
  statement {
    sid       = "Write"
    actions   = ["s3:PutObject"]
    resources = local.object_arns
  }

  # A purge, a takedown, and a render whose original was removed meanwhile remove what is there. In a versioned bucket,
  # this only hides it.
  statement {
    sid       = "Delete"
    actions   = ["s3:DeleteObject"]
    resources = local.object_arns
  }

  # A takedown removes every version. No other operation of the service does.
  statement {
    sid       = "DeleteVersions"
    actions   = ["s3:DeleteObjectVersion"]
    resources = local.object_arns
  }

  # Bulk runs list originals. Without this permission, S3 responds to a missing key with 403 in place of 404. It has no
  # condition on prefixes, because a lookup of one key has no prefix.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [data.aws_s3_bucket.images.arn]
  }

  # A takedown finds the versions of a picture. Their bytes are never read, so s3:GetObjectVersion is not needed.
  statement {
    sid       = "ListVersions"
    actions   = ["s3:ListBucketVersions"]
    resources = [data.aws_s3_bucket.images.arn]
  }

  # A takedown removes the copies at the edges, and waits until they are removed.
  statement {
    sid       = "Purge"
    actions   = ["cloudfront:CreateInvalidation", "cloudfront:GetInvalidation"]
    resources = [aws_cloudfront_distribution.images.arn]
  }
}

resource "aws_iam_user" "service" {
  name = var.name
}

# The user has no access key here, because its secret would be in the state: see the README.
resource "aws_iam_user_policy" "service" {
  name   = "images"
  user   = aws_iam_user.service.name
  policy = data.aws_iam_policy_document.service.json
}
