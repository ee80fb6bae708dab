// What the server says of itself: OpenAPI, models, metrics, health.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "rerank/generation_options.h"
#include "tests/serve/server.h"
#include "tools/serve/api.h"

namespace dalle1::test {
namespace {

// With something in place of a path's variable part.
std::string filled(std::string path) {
  const size_t at = path.find("{id}");
  return at == path.npos ? path : path.replace(at, 4, "req_0");
}

std::set<std::string> names_of(const nlohmann::json& object) {
  std::set<std::string> names;
  for (const auto& [name, value] : object.items()) names.insert(name);
  return names;
}

}  // namespace

TEST_CASE("the description has every path of the server, and the server every path of the description") {
  const Server server;
  const auto document = get(server, "/openapi.json").json();
  CHECK(document["openapi"] == "3.1.0");
  size_t operations = 0;
  for (const auto& [path, methods] : document["paths"].items())
    for (const auto& [method, operation] : methods.items()) {
      ++operations;
      const auto reply = ask(server, request_text(method == "get" ? "GET" : "POST", filled(path)));
      CHECK_MESSAGE(reply.status != 405, path);
      if (reply.status == 404) CHECK_MESSAGE(operation["responses"].contains("404"), path);
      CHECK_MESSAGE(reply.body.find("there is nothing at") == std::string::npos, path);
      CHECK_MESSAGE(operation["responses"].contains(std::to_string(reply.status)), path);
    }
  CHECK(operations == serve::Api::routes().size());
}

TEST_CASE("the described fields are those that are read, within the described ranges") {
  const Server server;
  const auto document = get(server, "/openapi.json").json();
  const auto schema = document["paths"]["/v1/images/generations"]["post"]["requestBody"]["content"]
                              ["application/json"]["schema"];
  const auto properties = schema["properties"];
  const auto described = names_of(properties);
  for (const auto& name : config::field_names<rerank::GenerationOptions>())
    CHECK_MESSAGE(described.count(name), name);
  for (const auto& [name, property] : properties.items()) {
    CAPTURE(name);
    const auto refused = [&, &name = name](const nlohmann::json& value) {
      nlohmann::json request = {{"prompt", "a red cat"}, {"candidates", 1}};
      request[name] = value;
      const auto reply = ask(server, json_request("/v1/images/generations", request));
      return reply.status == 400 && reply.json()["error"]["param"] == name;
    };
    if (property.contains("minimum")) CHECK(refused(property["minimum"].get<double>() - 1));
    if (property.contains("exclusiveMinimum")) CHECK(refused(property["exclusiveMinimum"]));
    if (property.contains("maximum")) CHECK(refused(property["maximum"].get<double>() + 1));
    if (property.contains("enum")) CHECK(refused("something else"));
    CHECK(refused(nlohmann::json::object()));
  }
  const auto forms = document["paths"];
  const auto form_of = [&](const char* path) {
    return names_of(
        forms[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]);
  };
  const auto edit = form_of("/v1/images/edits"), variation = form_of("/v1/images/variations");
  for (const char* name : {"image", "mask", "keep_rows", "region", "redraw_rest", "paste"})
    CHECK(edit.count(name));
  CHECK(variation.count("depths"));
  CHECK_FALSE(variation.count("mask"));
  CHECK(std::includes(edit.begin(), edit.end(), described.begin(), described.end()));
}

TEST_CASE("models tell limits and defaults, metrics count") {
  const Server server({"--candidates", "6", "--max-candidates", "100"});
  const auto model = get(server, "/v1/models").json()["data"][0];
  CHECK(model["id"] == "tiny");
  CHECK(model["object"] == "model");
  CHECK(model["size"] == "64x64");
  CHECK(model["limits"]["candidates"] == 100);
  CHECK(model["defaults"]["candidates"] == 6);
  CHECK(model["defaults"]["scorer"] == "clip");
  CHECK(model["seconds_per_candidate"].get<double>() > 0);
  CHECK(get(server, "/v1/models/tiny").json()["id"] == "tiny");
  REQUIRE(ask(server, json_request("/v1/images/generations", {{"prompt", "a red cat"}})).status == 200);
  get(server, "/nothing");
  const auto metrics = get(server, "/metrics");
  CHECK(metrics.header("content-type") == "text/plain; version=0.0.4");
  for (const char* line : {"dalle1_queue_length 0\n", "dalle1_drawings_total{state=\"completed\"} 1\n",
                           "dalle1_candidates_total 6\n", "dalle1_tokens_total 384\n",
                           "dalle1_requests_total{path=\"/v1/images/generations\",status=\"200\"} 1\n",
                           "dalle1_requests_total{path=\"other\",status=\"404\"} 1\n",
                           "dalle1_requests_total{path=\"/v1/models/{id}\",status=\"200\"} 1\n"})
    CHECK_MESSAGE(metrics.body.find(line) != std::string::npos, line);
}

TEST_CASE("the page's files come with what keeps it to this machine") {
  const Server server;
  const auto page = get(server, "/");
  CHECK(page.header("content-type") == "text/html; charset=utf-8");
  CHECK(page.header("content-security-policy").find("default-src 'none'") != std::string::npos);
  for (const char* file : {"/page.css", "/main.js", "/api.js", "/editor.js", "/gallery.js", "/viewer.js",
                           "/history.js", "/icon.svg"}) {
    const auto reply = get(server, file);
    CHECK_MESSAGE(reply.status == 200, file);
    if (std::string(file) != "/icon.svg") CHECK_MESSAGE(reply.body.find("://") == std::string::npos, file);
  }
}

}  // namespace dalle1::test
