// How requests share the server: queue, cancelling, slow clients, stopping.
#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <thread>

#include "tests/serve/server.h"
#include "tests/tools/program.h"
#include "tests/tools/tiny_model.h"
#include "tools/serve/fair_queue.h"

namespace dalle1::test {
namespace {

// Minutes of work, in waves of one, each of which is a few hundred decoding steps.
std::string long_request(bool stream = false) {
  return json_request("/v1/images/generations",
                      {{"prompt", "a red cat"}, {"candidates", 512}, {"batch", 1}, {"stream", stream}});
}

template <typename Predicate>
bool within(double seconds, const Predicate& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

int drawing(const Server& server) { return get(server, "/health").json()["drawing"]; }
int queued(const Server& server) { return get(server, "/health").json()["queued"]; }

}  // namespace

TEST_CASE("clients take turns, and each one's requests keep their order") {
  serve::FairQueue<int> queue;
  for (const int value : {1, 2, 3}) queue.push("a", value);
  queue.push("b", 10);
  queue.push("b", 11);
  queue.push("c", 20);
  const auto is = [](int wanted) { return [wanted](int value) { return value == wanted; }; };
  CHECK(queue.size() == 6);
  CHECK(queue.ahead_of(is(1)) == 0);
  CHECK(queue.ahead_of(is(20)) == 2);
  CHECK(queue.ahead_of(is(2)) == 3);
  CHECK(queue.ahead_of(is(3)) == 5);
  CHECK(queue.ahead_of(is(99)) == std::nullopt);
  CHECK(queue.remove(is(2)) == 2);
  CHECK(queue.remove(is(2)) == std::nullopt);
  std::vector<int> order;
  while (const auto value = queue.pop()) order.push_back(*value);
  CHECK(order == std::vector<int>{1, 10, 20, 3, 11});
  CHECK(queue.size() == 0);
}

TEST_CASE("a client that goes away frees the server, drawing or waiting") {
  const Server server({"--at-once", "1"});
  Client first(server), second(server);
  first.send(long_request());
  REQUIRE(within(10, [&] { return drawing(server) == 1; }));
  second.send(long_request(true));
  REQUIRE(within(10, [&] { return queued(server) == 1; }));
  second.close();
  CHECK(within(2, [&] { return queued(server) == 0; }));
  first.close();
  CHECK(within(2, [&] { return drawing(server) == 0; }));
  CHECK(within(2, [&] { return server.log().find("\"status\":499") != std::string::npos; }));
}

TEST_CASE("jobs can be looked at and cancelled from elsewhere") {
  const Server server({"--at-once", "1"});
  Client client(server);
  client.send(long_request(true));
  REQUIRE(client.receive_until("x-request-id: "));
  const auto at = client.unread().find("x-request-id: ") + 14;
  const auto id = client.unread().substr(at, client.unread().find("\r\n", at) - at);
  REQUIRE(within(10, [&] { return get(server, "/v1/jobs/" + id).json()["status"] == "drawing"; }));
  CHECK(within(10, [&] { return get(server, "/v1/jobs/" + id).json()["fraction"] > 0; }));
  Client waiting(server);
  waiting.send(long_request());
  REQUIRE(within(10, [&] { return queued(server) == 1; }));
  const auto cancel = request_text("POST", "/v1/jobs/" + id + "/cancel");
  CHECK(ask(server, cancel).json()["status"] == "cancelled");
  const auto reply = client.receive(10);
  CHECK(reply.status == 200);
  CHECK(reply.body.find("event: error\n") != std::string::npos);
  CHECK(events_of(reply.body).back()["error"]["code"] == "cancelled");
  CHECK(get(server, "/v1/jobs/" + id).json()["status"] == "cancelled");
  CHECK(ask(server, cancel).status == 409);
}

TEST_CASE("a full queue says so at once, and when to come back") {
  const Server server({"--at-once", "1", "--queue", "2"});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->send(long_request());
    REQUIRE(within(10, [&] { return drawing(server) + queued(server) == i + 1; }));
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = ask(server, long_request());
  CHECK(reply.status == 429);
  CHECK(reply.header("retry-after") != "");
  CHECK(reply.json()["error"]["type"] == "rate_limit_error");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
}

TEST_CASE("requests at the same time share steps, and each has the pictures that it has alone") {
  const Server server;
  const auto request = [](int k) {
    return json_request("/v1/images/generations", {{"prompt", k % 2 ? "a red cat" : "two dogs"},
                                                   {"candidates", 2 + k * 7 % 11},
                                                   {"n", 1 + k % 2},
                                                   {"seed", k / 3},
                                                   {"guidance", k % 3 == 1 ? 2.0 : 1.0}});
  };
  constexpr int kRequests = 20;  // more than are drawn at a time
  std::vector<nlohmann::json> alone, together(kRequests);
  for (int k = 0; k < kRequests; ++k) alone.push_back(ask(server, request(k)).json()["data"]);
  std::atomic<bool> ended = false;
  int most = 0;
  std::thread watching([&] {
    while (!ended) most = std::max(most, drawing(server));
  });
  std::vector<std::thread> clients;
  for (int k = 0; k < kRequests; ++k)
    clients.emplace_back([&, k] { together[k] = ask(server, request(k)).json()["data"]; });
  for (std::thread& client : clients) client.join();
  ended = true;
  watching.join();
  CHECK(most > 1);
  for (int k = 0; k < kRequests; ++k) {
    CAPTURE(k);
    REQUIRE_FALSE(alone[k].empty());
    CHECK(together[k] == alone[k]);
  }
}

TEST_CASE("silent sockets keep nobody out") {
  const Server server({"--connections", "8"});
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(std::make_unique<Client>(server));
    silent.back()->send("GET /health HTTP/1.1\r\nX: ");
    if (i % 10 == 0) CHECK(get(server, "/health").status == 200);
  }
  CHECK(get(server, "/health").status == 200);
}

TEST_CASE("a head that comes byte by byte has ten seconds in all") {
  const Server server;
  Client slow(server);
  const auto begin = std::chrono::steady_clock::now();
  std::atomic<bool> closed = false;
  std::thread sending([&] {
    for (int i = 0; i < 300 && !closed; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(50)))
      slow.send(i == 0 ? "GET / HTTP/1.1\r\nX: " : "x");
  });
  CHECK(slow.receive(14).status == 0);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  closed = true;
  sending.join();
  CHECK(took.count() > 9);
  CHECK(took.count() < 13);
}

TEST_CASE("one connection serves many requests, also such as come early") {
  const Server server;
  Client client(server);
  client.send(request_text("GET", "/health") + request_text("HEAD", "/") + request_text("GET", "/v1/models"));
  CHECK(client.receive().json()["status"] == "ok");
  REQUIRE(client.receive_until("\r\n\r\n"));  // of HEAD: a length and no body
  CHECK(client.unread().starts_with("HTTP/1.1 200 OK"));
  CHECK(client.receive_until("\"object\":\"list\""));
}

TEST_CASE("told to stop, the server ends what it draws, refuses the rest and exits with 0") {
  Server server({"--at-once", "1"});
  Client drawn(server), waiting(server);
  drawn.send(
      json_request("/v1/images/generations", {{"prompt", "a red cat"}, {"candidates", 24}, {"batch", 1}}));
  REQUIRE(within(10, [&] { return drawing(server) == 1; }));
  waiting.send(long_request());
  REQUIRE(within(10, [&] { return queued(server) == 1; }));
  server.signal(SIGTERM);
  CHECK(waiting.receive(10).status == 503);
  CHECK(drawn.receive(30).status == 200);
  CHECK(server.wait(10) == 0);
}

TEST_CASE("what takes longer than the grace is cancelled") {
  Server server({"--grace", "0"});
  Client client(server);
  client.send(long_request());
  REQUIRE(within(10, [&] { return drawing(server) == 1; }));
  server.signal(SIGTERM);
  CHECK(client.receive(10).status == 503);
  CHECK(server.wait(10) == 0);
}

TEST_CASE("an answer that takes too long ends, and so does its drawing") {
  const Server server({"--timeout", "1"});
  CHECK(ask(server, long_request()).status == 504);
  CHECK(within(2, [&] { return drawing(server) == 0; }));
}

TEST_CASE("starts that cannot be") {
  const auto refused = [&](std::vector<std::string> more, int exit_code, const std::string& words) {
    std::vector<std::string> arguments = {"serve", "--model", shallow_model().string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_program(arguments);
    CHECK(result.exit_code == exit_code);
    CHECK_MESSAGE(result.error_line().find(words) != std::string::npos, result.err);
  };
  refused({"--host", "0.0.0.0"}, 2, "--api-key-file");
  refused({"--host", "nowhere.example"}, 2, "no address to listen on");
  refused({"--candidates", "600"}, 2, "--max-candidates 512");
  ScratchDir scratch;
  std::ofstream(scratch / "keys") << "short\n";
  refused({"--api-key-file", (scratch / "keys").string()}, 3, "at least 16 characters");
  const Server server;
  refused({"--port", std::to_string(server.port())}, 2, "cannot listen on 127.0.0.1 port");
}

}  // namespace dalle1::test
