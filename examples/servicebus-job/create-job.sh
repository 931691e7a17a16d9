#!/usr/bin/env bash
# The image of the consumer, and the job that runs it for each message of the queue that
# create-queue.sh makes. Safe to repeat.
#
#   create-job.sh [GROUP [IMAGE_TAG]]
#
# The environment chooses what differs between the command line and Terraform's description of the
# same job: JOB, REPLICA_TIMEOUT, REPLICA_RETRY_LIMIT, MAX_EXECUTIONS.
set -euo pipefail
group=${1:-rg-containerapp-keda-16} image_tag=${2:-1.0.0}
namespace=servicebus-ns-job queue=queue-messages identity=identity-aca environment=aca-environment
registry=acrcontainerapp16
app=$(dirname "${BASH_SOURCE[0]}")/app

jobmill containerapp env create -g "$group" -n "$environment" -o none
jobmill acr build -r "$registry" -f "$app/Dockerfile" "$app" -t "job-python:$image_tag" -o none

connection=$(jobmill servicebus namespace authorization-rule keys list -g "$group" --namespace-name "$namespace" \
  -n RootManageSharedAccessKey --query primaryConnectionString -o tsv)
identity_id=$(jobmill identity show -g "$group" -n "$identity" --query id -o tsv)
client_id=$(jobmill identity show -g "$group" -n "$identity" --query clientId -o tsv)

jobmill containerapp job create \
  --name "${JOB:-job-python}" \
  --resource-group "$group" \
  --environment "$environment" \
  --trigger-type "Event" \
  --replica-timeout "${REPLICA_TIMEOUT:-86400}" \
  --replica-retry-limit "${REPLICA_RETRY_LIMIT:-1}" \
  --replica-completion-count 1 \
  --parallelism 1 \
  --image "$registry.azurecr.io/job-python:$image_tag" \
  --registry-identity "$identity_id" \
  --registry-server "$registry.azurecr.io" \
  --cpu 0.25 \
  --memory 0.5 \
  --min-executions 0 \
  --max-executions "${MAX_EXECUTIONS:-1}" \
  --secrets "service-bus-connection-string=$connection" \
  --scale-rule-name azure-servicebus-queue-rule \
  --scale-rule-type azure-servicebus \
  --scale-rule-auth "connection=service-bus-connection-string" \
  --scale-rule-metadata "queueName=$queue" \
                        "namespace=$namespace" \
                        "messageCount=1" \
  --env-vars \
      SERVICEBUS_FQDN="$namespace.servicebus.windows.net" \
      MANAGED_IDENTITY_CLIENT_ID="$client_id" \
      SERVICEBUS_QUEUE_NAME="$queue" \
  --output none
