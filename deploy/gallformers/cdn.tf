locals {
  origin_id = "bucket"
}

resource "aws_cloudfront_origin_access_control" "images" {
  name                              = var.name
  description                       = "Reads the bucket ${var.bucket}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

# A derivative may be rendered again under its name, so edges keep it as long as its own Cache-Control allows, a day by
# default. The query is no part of the key: VERSIONED_REDIRECTS stays off.
resource "aws_cloudfront_cache_policy" "derivatives" {
  name        = "${var.name}-derivatives"
  comment     = "As long as the service's CACHE_CONTROL allows"
  min_ttl     = 0
  default_ttl = 86400
  max_ttl     = 31536000

  parameters_in_cache_key_and_forwarded_to_origin {
    enable_accept_encoding_brotli = false
    enable_accept_encoding_gzip   = false

    cookies_config {
      cookie_behavior = "none"
    }

    headers_config {
      header_behavior = "none"
    }

    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

resource "aws_cloudfront_response_headers_policy" "derivatives" {
  name    = "${var.name}-derivatives"
  comment = "Scripts of the site may read derivatives, and browsers believe their content type"

  cors_config {
    access_control_allow_credentials = false
    access_control_max_age_sec       = 3600
    origin_override                  = true

    access_control_allow_headers {
      items = ["*"]
    }

    access_control_allow_methods {
      items = ["GET", "HEAD"]
    }

    access_control_allow_origins {
      items = var.cors_origins
    }
  }

  security_headers_config {
    content_type_options {
      override = true
    }
  }
}

data "aws_cloudfront_cache_policy" "optimized" {
  name = "Managed-CachingOptimized"
}

resource "aws_cloudfront_distribution" "images" {
  enabled         = true
  comment         = "Pictures of ${var.bucket}"
  aliases         = var.aliases
  http_version    = "http2and3"
  is_ipv6_enabled = true
  price_class     = "PriceClass_All"

  origin {
    origin_id                = local.origin_id
    domain_name              = data.aws_s3_bucket.images.bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.images.id
  }

  # Originals and whatever else the site stores, as before.
  default_cache_behavior {
    target_origin_id       = local.origin_id
    viewer_protocol_policy = "redirect-to-https"
    allowed_methods        = ["GET", "HEAD"]
    cached_methods         = ["GET", "HEAD"]
    cache_policy_id        = data.aws_cloudfront_cache_policy.optimized.id
  }

  # One for each size, by its name in the key: gall/58/58_1_small.jpg.
  dynamic "ordered_cache_behavior" {
    for_each = var.sizes

    content {
      path_pattern               = "*_${ordered_cache_behavior.value}.*"
      target_origin_id           = local.origin_id
      viewer_protocol_policy     = "redirect-to-https"
      allowed_methods            = ["GET", "HEAD"]
      cached_methods             = ["GET", "HEAD"]
      cache_policy_id            = aws_cloudfront_cache_policy.derivatives.id
      response_headers_policy_id = aws_cloudfront_response_headers_policy.derivatives.id
    }
  }

  # A page may be read before its derivative is there. By default, edges keep that error for ten seconds.
  dynamic "custom_error_response" {
    for_each = [403, 404]

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 1
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = var.certificate_arn == ""
    acm_certificate_arn            = var.certificate_arn == "" ? null : var.certificate_arn
    ssl_support_method             = var.certificate_arn == "" ? null : "sni-only"
    minimum_protocol_version       = var.certificate_arn == "" ? null : "TLSv1.2_2021"
  }

  # An import brings what the site set up: its logs and its firewall stay.
  lifecycle {
    ignore_changes  = [logging_config, web_acl_id, price_class]
    prevent_destroy = true
  }
}
