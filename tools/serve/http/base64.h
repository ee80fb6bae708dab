// Base64 (RFC 4648, section 4), in which JSON carries pictures.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace dalle1::serve {

std::string base64(std::span<const uint8_t> bytes);

}  // namespace dalle1::serve
