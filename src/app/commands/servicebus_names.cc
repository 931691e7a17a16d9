// SPDX-License-Identifier: Apache-2.0
#include "app/commands/servicebus_names.h"

#include "http/message.h"

namespace jobmill::app {

std::string namespace_resource(const Arguments& arguments) {
  return "Microsoft.ServiceBus/namespaces/" +
         http::url_encode(arguments.get("namespace-name", kDefaultNamespace));
}

}  // namespace jobmill::app
