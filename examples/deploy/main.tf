# Where the image goes: a bucket, an account that may only add objects to it, whose
# signature the upload URL has, and one that may only read them, for the analysis.

terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.0"
    }
  }
}

variable "project" {
  type        = string
  description = "Project of the bucket. Best not that of the cluster, whose owner may be the attacker."
}

variable "region" {
  type        = string
  description = "Region of the bucket: that of the cluster, for the upload to be fast."
}

variable "bucket" {
  type        = string
  description = "Name of the bucket, which is unique in the world."
}

variable "signers" {
  type        = list(string)
  description = "Who may sign upload URLs, such as user:responder@example.org."
}

variable "analysts" {
  type        = list(string)
  description = "Who may act as the account that reads images."
}

variable "retention_days" {
  type        = number
  default     = 30
  description = "For how long no one can delete or overwrite an image."
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_storage_bucket" "images" {
  name                        = var.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # An image of memory holds every secret of the node.
  retention_policy {
    retention_period = var.retention_days * 24 * 60 * 60
  }
}

resource "google_service_account" "uploader" {
  account_id   = "memory-uploader"
  display_name = "Adds memory images, by signed URLs"
}

# objectCreator can neither read nor overwrite nor delete.
resource "google_storage_bucket_iam_member" "uploader" {
  bucket = google_storage_bucket.images.name
  role   = "roles/storage.objectCreator"
  member = google_service_account.uploader.member
}

# Signing is done by impersonation: there is no key to lose.
resource "google_service_account_iam_member" "signers" {
  for_each           = toset(var.signers)
  service_account_id = google_service_account.uploader.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value
}

resource "google_service_account" "analyst" {
  account_id   = "memory-analyst"
  display_name = "Reads memory images"
}

resource "google_storage_bucket_iam_member" "analyst" {
  bucket = google_storage_bucket.images.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.analyst.member
}

resource "google_service_account_iam_member" "analysts" {
  for_each           = toset(var.analysts)
  service_account_id = google_service_account.analyst.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = each.value
}

output "bucket" {
  value = google_storage_bucket.images.url
}

output "uploader" {
  value = google_service_account.uploader.email
}
