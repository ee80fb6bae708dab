// Errors as OpenAI's clients read them.
#pragma once

#include <stdexcept>
#include <string>

#include "core/error.h"
#include "tools/serve/http/exchange.h"

namespace dalle1::serve {

/// A refusal: thrown while a request is read or handled.
class ApiError : public std::runtime_error {
 public:
  ApiError(int status, const std::string& message, std::string param = {}, std::string code = {})
      : std::runtime_error(message), status(status), param(std::move(param)), code(std::move(code)) {}

  int status;
  std::string param;  ///< The field that is wrong, if one is.
  std::string code;   ///< A word for programs, if there is one.
};

/// {"error": {"message", "type", "param", "code"}}; with Retry-After where the client should come back.
Response error_response(const ApiError& error);
/// The member "error" of the same, for events.
std::string error_json(const ApiError& error);

/// Bad requests are 400, a lack of memory 503, all else 500.
ApiError as_api_error(const Error& error, const std::string& param = {});

/// What `action` returns; an error in it is about a field of the request.
auto about(const std::string& field, const auto& action) {
  try {
    return action();
  } catch (const Error& error) {
    throw as_api_error(error, field);
  }
}

}  // namespace dalle1::serve
