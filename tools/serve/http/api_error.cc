#include "tools/serve/http/api_error.h"

#include <nlohmann/json.hpp>

namespace dalle1::serve {
namespace {

const char* type_of(int status) {
  if (status == 401 || status == 403) return "authentication_error";
  if (status == 404) return "not_found_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

nlohmann::ordered_json document(const ApiError& error) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  return {{"error",
           {{"message", error.what()},
            {"type", type_of(error.status)},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

}  // namespace

std::string error_json(const ApiError& error) {
  return document(error).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Response error_response(const ApiError& error) {
  Response response{error.status, error_json(error) + "\n"};
  if (error.status == 429 || error.status == 503) response.headers.emplace_back("Retry-After", "10");
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

ApiError as_api_error(const Error& error, const std::string& param) {
  if (error.kind() == ErrorKind::usage || error.kind() == ErrorKind::input) return {400, error.what(), param};
  return {error.kind() == ErrorKind::memory ? 503 : 500, error.what()};
}

}  // namespace dalle1::serve
