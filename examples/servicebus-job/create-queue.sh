#!/usr/bin/env bash
# What the job needs before it exists: a namespace with a queue, and an identity that may receive
# from the queue and send to it. Safe to repeat.
#
#   create-queue.sh [GROUP [NAMESPACE [QUEUE]]]
set -euo pipefail
group=${1:-rg-containerapp-keda-16} namespace=${2:-servicebus-ns-job} queue=${3:-queue-messages}
identity=identity-aca

jobmill group create -n "$group" -l swedencentral -o none
jobmill servicebus namespace create -g "$group" -n "$namespace" --sku Standard -o none
jobmill servicebus queue create -g "$group" --namespace-name "$namespace" -n "$queue" \
  --lock-duration PT5M --max-delivery-count 1 -o none
jobmill identity create -g "$group" -n "$identity" -o none

principal=$(jobmill identity show -g "$group" -n "$identity" --query principalId -o tsv)
scope=$(jobmill servicebus queue show -g "$group" --namespace-name "$namespace" -n "$queue" --query id -o tsv)
for role in "Azure Service Bus Data Receiver" "Azure Service Bus Data Sender"; do
  jobmill role assignment create --assignee "$principal" --role "$role" --scope "$scope" -o none
done
