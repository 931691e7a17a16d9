# The walkthrough's resources, made by commands. terraform_data is part of Terraform itself, so
# `terraform init` downloads nothing.
terraform {
  required_version = ">= 1.4"
}

variable "rg" {
  default = "rg-containerapp-keda-16"
}

variable "image_tag" {
  default = "1.0.0"
}

variable "max_executions" {
  default = 1
}

resource "terraform_data" "queue" {
  input = { rg = var.rg, namespace = "servicebus-ns-job", queue = "queue-messages" }

  provisioner "local-exec" {
    command = "${path.module}/../create-queue.sh ${self.input.rg} ${self.input.namespace} ${self.input.queue}"
  }
  provisioner "local-exec" {
    when    = destroy
    command = "jobmill servicebus namespace delete -g ${self.input.rg} -n ${self.input.namespace} --yes"
  }
}

resource "terraform_data" "job" {
  depends_on       = [terraform_data.queue]
  triggers_replace = [var.image_tag, var.max_executions]
  input            = { rg = var.rg, job = "aca-job-python" }

  provisioner "local-exec" {
    command = "${path.module}/../create-job.sh ${self.input.rg} ${var.image_tag}"
    environment = {
      JOB                 = self.input.job
      REPLICA_TIMEOUT     = "300"
      REPLICA_RETRY_LIMIT = "10"
      MAX_EXECUTIONS      = var.max_executions
    }
  }
  provisioner "local-exec" {
    when    = destroy
    command = "jobmill containerapp job delete -n ${self.input.job} -g ${self.input.rg} --yes"
  }
}
