// Numbers that nobody can foretell: names of requests, seeds that a request leaves open.
#pragma once

#include <cstdint>
#include <string>

namespace dalle1::serve {

uint64_t random_number();
/// "req_" and 32 hexadecimal digits.
std::string random_id();

}  // namespace dalle1::serve
