// Bad requests: one clear answer each, and the server goes on.
#include <doctest/doctest.h>
#include <fstream>

#include "core/image/png.h"
#include "tests/serve/server.h"

namespace dalle1::test {
namespace {

void check_refused(const Reply& reply, int status, const std::string& words, const std::string& param = "") {
  CHECK_MESSAGE(reply.status == status, reply.body);
  if (reply.status != status) return;
  const auto error = reply.json()["error"];
  CHECK_MESSAGE(error["message"].get<std::string>().find(words) != std::string::npos, reply.body);
  if (param.empty())
    CHECK(error["param"].is_null());
  else
    CHECK(error["param"] == param);
  CHECK(error["type"].is_string());
  CHECK(error.contains("code"));
}

}  // namespace

TEST_CASE("requests for pictures that are wrong are told what is wrong") {
  const Server server;
  const auto refused = [&](nlohmann::json fields, const std::string& words, const std::string& param,
                           int status = 400) {
    fields.emplace("prompt", "a red cat");
    check_refused(ask(server, json_request("/v1/images/generations", fields)), status, words, param);
  };
  refused({{"sead", 1}}, "did you mean 'seed'?", "sead");
  refused({{"temperature", "hot"}}, "'temperature' must be a number", "temperature");
  refused({{"temperature", -1}}, "at least 0", "temperature");
  refused({{"seed", -1}}, "'seed' must be a whole number", "seed");
  refused({{"seed", 1.5}}, "'seed' must be a whole number", "seed");
  refused({{"candidates", 513}}, "this server allows 512", "candidates");
  refused({{"n", 65}, {"candidates", 100}}, "this server allows 64", "n");
  refused({{"n", 3}, {"candidates", 2}}, "3 pictures cannot be kept of 2", "keep");
  refused({{"n", 3}, {"keep", 2}}, "'n' and 'keep'", "n");
  refused({{"only", std::vector<int>(600, 1)}}, "this server allows 512", "only");
  refused({{"size", "1024x1024"}}, "this model draws 64x64", "size");
  refused({{"response_format", "url"}}, "it must be b64_json", "response_format");
  refused({{"model", "dall-e-3"}}, "this server has 'tiny'", "model", 404);
  refused({{"negative", "x"}}, "does nothing without guidance", "negative");
  refused({{"scorer", "beauty"}}, "scorer", "scorer");
  refused({{"scorer", "caption"}}, "was not opened", "scorer");
  refused({{"kv_dtype", "f64"}}, "kv_dtype", "kv_dtype");
  refused({{"keep_rows", 3}}, "unknown field 'keep_rows'", "keep_rows");
  refused({{"image", "/etc/passwd"}}, "unknown field 'image'", "image");
  refused({{"partial_images", 2}}, "need 'stream'", "partial_images");
  refused({{"prompt", std::string(5000, 'a')}}, "4000 are allowed", "prompt");
  refused({{"prompt", "a red cat above a blue square above a red cat above a blue square above a red cat"}},
          "the prompt is too long", "prompt");
  check_refused(ask(server, json_request("/v1/images/generations", {{"n", 1}})), 400, "no 'prompt'",
                "prompt");
  CHECK(get(server, "/health").json()["status"] == "ok");
}

TEST_CASE("bodies that are no JSON and no form") {
  const Server server;
  const auto post = [&](const std::string& body, const std::string& type, const std::string& path) {
    return ask(server, request_text("POST", path, body, {"Content-Type: " + type}));
  };
  const std::string generations = "/v1/images/generations", edits = "/v1/images/edits";
  check_refused(post("{\"prompt\":", "application/json", generations), 400, "not JSON");
  check_refused(post("[1,2]", "application/json", generations), 400, "must be a JSON object");
  check_refused(post("{\"prompt\":\"\xff\"}", "application/json", generations), 400, "not JSON");
  check_refused(post(std::string(200000, '['), "application/json", generations), 400, "not JSON");
  check_refused(post("{}", "text/plain", generations), 415, "application/json");
  check_refused(post("{}", "application/json", edits), 415, "multipart/form-data");
  check_refused(post("{\"prompt\":\"" + std::string(1100000, 'a') + "\"}", "application/json", generations),
                413, "1000000 are allowed");
  const auto form = [&](const std::string& body) {
    return post(body, "multipart/form-data; boundary=b", edits);
  };
  check_refused(form("nothing"), 400, "boundary does not occur");
  check_refused(form("--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nx"), 400,
                "last boundary");
  check_refused(form("--b\r\nX: y\r\n\r\nx\r\n--b--"), 400, "no content-disposition");
  check_refused(post("--b--", "multipart/form-data", edits), 400, "no boundary");
  std::string many;
  for (int i = 0; i < 65; ++i)
    many += "--b\r\nContent-Disposition: form-data; name=\"f" + std::to_string(i) + "\"\r\n\r\n\r\n";
  check_refused(form(many + "--b--"), 400, "more than 64 parts");
  check_refused(form("--b--"), 400, "no 'prompt'", "prompt");
}

TEST_CASE("pictures that are none, and places that are nowhere") {
  const Server server;
  const auto png = encode_png(Image(64, 64, 3, 9));
  const std::string picture(png.begin(), png.end());
  const auto refused = [&](std::vector<FormField> fields, const std::string& words,
                           const std::string& param) {
    fields.push_back({"prompt", "a red cat"});
    check_refused(ask(server, form_request("/v1/images/edits", fields)), 400, words, param);
  };
  refused({}, "no 'image'", "image");
  refused({{"image", "no picture", true}, {"keep_rows", "3"}}, "'image'", "image");
  refused({{"image", picture.substr(0, 40), true}, {"keep_rows", "3"}}, "'image'", "image");
  refused({{"image", picture, true}}, "say what to draw anew", "mask");
  refused({{"image", picture, true}, {"mask", "x", true}}, "'mask'", "mask");
  refused({{"image", picture, true}, {"mask", picture, true}}, "marks nothing", "mask");
  refused({{"image", picture, true}, {"mask", picture, true}, {"keep_rows", "3"}}, "give one of", "mask");
  refused({{"image", picture, true}, {"keep_rows", "8"}}, "8 of 8 rows", "keep_rows");
  refused({{"image", picture, true}, {"keep_rows", "many"}}, "'keep_rows' must be a whole number",
          "keep_rows");
  refused({{"image", picture, true}, {"region", "1,2,3"}}, "four numbers", "region");
  refused({{"image", picture, true}, {"region", "60,0,9,9"}}, "not inside the picture", "region");
  refused({{"image", picture, true}, {"image", picture, true}}, "'image' twice", "image");
  CHECK(get(server, "/health").status == 200);
}

TEST_CASE("paths, methods, hosts and other sites") {
  const Server server;
  check_refused(get(server, "/nothing"), 404, "there is nothing at /nothing");
  check_refused(get(server, "/../../etc/passwd"), 404, "there is nothing");
  check_refused(get(server, "/v1/images/generations"), 405, "does not take GET");
  check_refused(ask(server, request_text("OPTIONS", "/v1/images/generations")), 405, "does not take OPTIONS");
  check_refused(get(server, "/v1/models/other"), 404, "no model 'other'", "model");
  check_refused(get(server, "/v1/jobs/req_0"), 404, "no job 'req_0'");
  const auto from = [&](const std::string& header) {
    return ask(server, request_text("GET", "/health", "", {header}));
  };
  check_refused(from("Origin: http://elsewhere.example"), 403, "pages of other sites");
  CHECK(from("Origin: http://localhost").status == 200);
  CHECK(from("Origin: http://localhost").header("access-control-allow-origin") == "");
  Client other(server);
  other.send("GET /health HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n");
  check_refused(other.receive(), 403, "answers to localhost");
}

TEST_CASE("what is no HTTP, too large a head or too large a body is refused and the connection closed") {
  const Server server;
  const auto raw = [&](const std::string& bytes) {
    Client client(server);
    client.send(bytes);
    const auto reply = client.receive();
    CHECK(client.receive(10).status == 0);
    return reply;
  };
  check_refused(raw("nonsense\r\n\r\n"), 400, "not an HTTP request");
  check_refused(raw("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"), 431,
                "too large");
  check_refused(raw("POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000001\r\n\r\n"),
                413, "too large");
  check_refused(raw("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -2\r\n\r\n"), 400,
                "not an HTTP request");
  check_refused(raw("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n"), 400,
                "not an HTTP request");
  CHECK(get(server, "/health").status == 200);
}

TEST_CASE("keys: needed off loopback, shown as a bearer token, public where nothing is at stake") {
  ScratchDir scratch;
  std::ofstream(scratch / "keys") << "a-key-of-some-length\nanother-key-of-length\n";
  const Server server({"--api-key-file", (scratch / "keys").string()});
  const auto with = [&](const std::string& key) {
    return ask(server, request_text("GET", "/v1/models", "", {"Authorization: Bearer " + key}));
  };
  CHECK(with("a-key-of-some-length").status == 200);
  CHECK(with("another-key-of-length").status == 200);
  check_refused(with("a-key-of-some-lengtH"), 401, "a key is needed");
  check_refused(with(""), 401, "a key is needed");
  check_refused(get(server, "/metrics"), 401, "a key is needed");
  check_refused(ask(server, json_request("/v1/images/generations", {{"prompt", "x"}})), 401,
                "a key is needed");
  CHECK(get(server, "/v1/models").header("www-authenticate") == "Bearer");
  CHECK(get(server, "/health").status == 200);
  CHECK(get(server, "/").status == 200);
}

}  // namespace dalle1::test
