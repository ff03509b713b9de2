variable "region" {
  description = "Region of the bucket."
  type        = string
  default     = "us-east-1"
}

variable "bucket" {
  description = "Name of the site's bucket, which exists and is versioned."
  type        = string
  default     = "gallformers-images-us-east-1"
}

variable "name" {
  description = "Name of the service's user, and prefix of the names of what belongs to it."
  type        = string
  default     = "gallformers-images"
}

variable "originals" {
  description = "Prefixes of the keys of originals."
  type        = list(string)
  default     = ["gall/", "keys/"]
}

variable "sizes" {
  description = "Names of the sizes in the service's SIZES_FILE."
  type        = list(string)
  default     = ["small", "medium", "large", "xlarge"]
}

variable "aliases" {
  description = "Host names of the distribution, the first of which browsers read pictures from; empty for cloudfront.net."
  type        = list(string)
  default     = []
}

variable "certificate_arn" {
  description = "Certificate for the aliases, in us-east-1; empty without aliases."
  type        = string
  default     = ""

  validation {
    condition     = (var.certificate_arn == "") == (length(var.aliases) == 0)
    error_message = "Set certificate_arn if there are aliases, and only then."
  }
}

variable "cors_origins" {
  description = "Origins whose scripts may read pictures."
  type        = list(string)
  default     = ["https://www.gallformers.org"]
}

variable "is_public_beside_cdn" {
  description = "Whether anyone may also read the bucket at its own URL, as before. Turn it off when no page links there."
  type        = bool
  default     = true
}

variable "service_url" {
  description = "URL of the image service, which gets the bucket's events."
  type        = string
  default     = "https://gallformers-images.fly.dev"

  validation {
    condition     = can(regex("^https://[^/?#]+$", var.service_url))
    error_message = "Must be https:// and a host, without a path: API destinations require TLS."
  }
}

variable "events_token" {
  description = "The service's EVENTS_TOKEN; empty: the bucket sends no events. It is kept in the state."
  type        = string
  default     = ""
  sensitive   = true
}
