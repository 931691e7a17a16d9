// SPDX-License-Identifier: Apache-2.0
#include "jobmill/postgres.h"

#include "store/postgres/producers.h"
#include "worker/store.h"

namespace jobmill {

std::shared_ptr<Store> Transaction<pg_conn*>::join(const std::shared_ptr<Store>& store,
                                                   pg_conn* connection) {
  return Transaction<InSchema>::join(store, {connection, {}});
}

std::shared_ptr<Store> Transaction<InSchema>::join(const std::shared_ptr<Store>& store,
                                                   const InSchema& tx) {
  return std::make_shared<Store>(*store, [tx](std::span<const jobs::JobSpec> specs) {
    return postgres::insert_within(tx.connection, tx.schema, specs);
  });
}

}  // namespace jobmill
