// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"

namespace jobmill::scalers {

// The number at a dot path of an XML document, such as "status.queue.1.length": the name of the
// root element, then of child elements; a number picks among siblings of the same name, counted
// from 0. The element's text is read as a Kubernetes quantity. Namespace prefixes in the document
// are ignored, attributes cannot be reached.
Result<double> xml_number(std::string_view xml, std::string_view path);

}  // namespace jobmill::scalers
