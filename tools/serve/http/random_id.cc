#include "tools/serve/http/random_id.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "core/error.h"

namespace dalle1::serve {

uint64_t random_number() {
  uint64_t number = 0;
  check(getrandom(&number, sizeof number, 0) == sizeof number, ErrorKind::internal,
        "the system gives no random numbers");
  return number;
}

std::string random_id() { return fmt::format("req_{:016x}{:016x}", random_number(), random_number()); }

}  // namespace dalle1::serve
