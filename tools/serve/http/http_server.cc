#include <utility>  // before Boost 1.74's awaitable.hpp, which lacks it

#include "tools/serve/http/http_server.h"

#include <poll.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <list>
#include <thread>

#include "core/error.h"
#include "tools/serve/http/api_error.h"
#include "tools/serve/http/http_exchange.h"
#include "tools/serve/http/random_id.h"

namespace dalle1::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::use_awaitable;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using Parser = http::request_parser<http::string_body>;

constexpr size_t kPiece = 256 << 10;  // bytes that are written under one deadline
constexpr auto kHeartbeat = std::chrono::seconds(15);
constexpr auto kPoll = std::chrono::milliseconds(50);

// Whether the other side has closed, although it may have sent more before.
bool hung_up(int socket) {
  pollfd poll_of = {socket, POLLIN | POLLRDHUP, 0};
  return poll(&poll_of, 1, 0) > 0 && (poll_of.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

std::string string_of(beast::string_view view) { return {view.data(), view.size()}; }

ApiError refusal_of(const beast::error_code& error) {
  if (error == http::error::header_limit) return {431, "the request's header is too large"};
  if (error == http::error::body_limit) return {413, "the request's body is too large"};
  return {400, "not an HTTP request: " + error.message()};
}

tcp::endpoint endpoint_of(const std::string& host, int port) {
  const auto name = host == "localhost" ? "127.0.0.1" : host;
  beast::error_code error;
  const auto address = asio::ip::make_address(name, error);
  check(!error, ErrorKind::usage,
        "'{}' is no address to listen on: give for instance 127.0.0.1, 0.0.0.0 or ::1", host);
  return {address, static_cast<uint16_t>(port)};
}

}  // namespace

bool is_loopback(const std::string& host) { return endpoint_of(host, 0).address().is_loopback(); }

class HttpServer::Loop {
 public:
  Loop(const std::string& host, int port, const Limits& limits, Handler handler,
       std::function<void(const Answered&)> log)
      : limits_(limits), handler_(std::move(handler)), log_(std::move(log)), io_(1), acceptor_(io_) {
    const auto endpoint = endpoint_of(host, port);
    beast::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    check(!error, ErrorKind::usage, "cannot listen on {} port {}: {}", host, port, error.message());
    port_ = acceptor_.local_endpoint().port();
  }
  ~Loop() { end(); }

  void start() {
    asio::co_spawn(io_, accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }

  int port() const { return port_; }
  size_t connections() const { return count_; }

  void stop(std::chrono::seconds grace) {
    asio::post(io_, [this] {
      stopping_ = true;
      beast::error_code ignored;
      acceptor_.close(ignored);
      for (auto& connection : connections_)
        if (connection.reading) connection.stream.socket().close(ignored);
    });
    const auto deadline = Clock::now() + grace;
    while (count_ > 0 && Clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    end();
  }

 private:
  void end() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  struct Connection {
    explicit Connection(tcp::socket socket) : stream(std::move(socket)) {}
    beast::tcp_stream stream;
    beast::flat_buffer buffer{kPiece};
    bool reading = true;  // waits for a request or the rest of one: may be closed for another's sake
    bool keep_alive = false;
    bool chunked = false;
  };
  using Place = std::list<Connection>::iterator;
  // However an answer ends, nobody waits for its exchange or looks at its connection afterwards.
  struct Ending {
    HttpExchange& exchange;
    const std::shared_ptr<bool> over = std::make_shared<bool>(false);
    ~Ending() {
      *over = true;
      exchange.go();
    }
  };

  asio::awaitable<void> accept() {
    for (;;) {
      beast::error_code error;
      auto socket = co_await acceptor_.async_accept(asio::redirect_error(use_awaitable, error));
      if (!acceptor_.is_open()) co_return;
      if (error) {  // no more files, for instance: others must end first
        asio::steady_timer pause(io_, kPoll);
        co_await pause.async_wait(use_awaitable);
        continue;
      }
      if (!make_room()) continue;  // closed
      ++count_;
      const auto place = connections_.emplace(connections_.end(), std::move(socket));
      asio::co_spawn(io_, serve(place), [this, place](const std::exception_ptr&) {
        connections_.erase(place);
        --count_;
      });
    }
  }

  // At the limit the connection goes that has been silent longest, so that slow ones keep no one out.
  bool make_room() {
    if (connections_.size() < limits_.connections) return true;
    for (auto& connection : connections_) {
      if (!connection.reading || !connection.stream.socket().is_open()) continue;
      beast::error_code ignored;
      connection.stream.socket().close(ignored);
      return true;
    }
    return false;
  }

  asio::awaitable<void> serve(Place place) {
    Connection& connection = *place;
    beast::error_code ignored;
    connection.stream.socket().set_option(tcp::no_delay(true), ignored);
    bool first = true;
    do {
      Parser parser;
      parser.header_limit(static_cast<uint32_t>(limits_.header_bytes));
      parser.body_limit(limits_.body_bytes);
      connection.reading = true;
      connections_.splice(connections_.end(), connections_, place);
      if (!first && !co_await next_begins(connection)) co_return;
      first = false;
      std::shared_ptr<void> held;
      const auto refused = co_await read(connection, parser, held);
      connection.reading = false;
      if (!connection.stream.socket().is_open()) co_return;
      if (refused) {
        if (refused->status == 0) co_return;
        co_await refuse(connection, *refused);
        co_return;
      }
      co_await answer(connection, parser, std::move(held));
    } while (connection.keep_alive && !stopping_);
    connection.stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  // Between requests a client may be silent for longer than within one.
  asio::awaitable<bool> next_begins(Connection& connection) {
    if (connection.buffer.size() > 0) co_return true;
    connection.stream.expires_after(limits_.idle_time);
    beast::error_code error;
    const auto got = co_await connection.stream.async_read_some(connection.buffer.prepare(4096),
                                                                asio::redirect_error(use_awaitable, error));
    connection.buffer.commit(got);
    co_return !error;
  }

  // What was wrong with the request; status 0 where nobody is there to be told.
  asio::awaitable<std::optional<ApiError>> read(Connection& connection, Parser& parser,
                                                std::shared_ptr<void>& held) {
    auto& stream = connection.stream;
    beast::error_code error;
    stream.expires_after(limits_.header_time);
    co_await http::async_read_header(stream, connection.buffer, parser,
                                     asio::redirect_error(use_awaitable, error));
    if (!error) {
      const auto length = parser.content_length();
      const size_t body = parser.is_done() ? 0 : length ? static_cast<size_t>(*length) : limits_.body_bytes;
      held = hold(body);
      if (!held) co_return ApiError(503, "too many requests are being sent at once: try again soon");
      stream.expires_after(limits_.body_time);
      if (!parser.is_done() && beast::iequals(parser.get()[http::field::expect], "100-continue"))
        co_await asio::async_write(stream, asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25),
                                   asio::redirect_error(use_awaitable, error));
      if (!error)
        co_await http::async_read(stream, connection.buffer, parser,
                                  asio::redirect_error(use_awaitable, error));
    }
    if (!error) co_return std::nullopt;
    const bool nobody = error == http::error::end_of_stream || error == asio::error::operation_aborted ||
                        error == asio::error::connection_reset || error == http::error::partial_message;
    co_return nobody ? ApiError(0, "") : refusal_of(error);
  }

  // A share of the memory of bodies; null when there is not enough.
  std::shared_ptr<void> hold(size_t bytes) {
    if (*bodies_ + bytes > limits_.bodies_together) return nullptr;
    *bodies_ += bytes;
    return {this, [bodies = bodies_, bytes](void*) { *bodies -= bytes; }};
  }

  // The rest of what it sends is read, for a while: closing at once would take the answer from it.
  asio::awaitable<void> refuse(Connection& connection, const ApiError& refusal) {
    connection.keep_alive = false;
    const auto response = error_response(refusal);
    const bool sent = co_await write(connection, head_of(connection, response, "", false) + response.body);
    log_({"", peer_of(connection), "", "", refusal.status, 0});
    beast::error_code error;
    connection.stream.socket().shutdown(tcp::socket::shutdown_send, error);
    connection.stream.expires_after(std::chrono::seconds(2));
    std::string unread(kPiece, '\0');
    for (size_t read = 0; sent && !error && read < limits_.body_bytes;)
      read += co_await connection.stream.async_read_some(asio::buffer(unread),
                                                         asio::redirect_error(use_awaitable, error));
  }

  Request request_of(Connection& connection, Parser& parser, const std::shared_ptr<void>& held) {
    auto message = parser.release();
    Request request;
    request.id = random_id();
    request.client = peer_of(connection);
    request.method = string_of(message.method_string());
    request.path = string_of(message.target().substr(0, message.target().find('?')));
    request.content_type = string_of(message[http::field::content_type]);
    request.authorization = string_of(message[http::field::authorization]);
    request.host = string_of(message[http::field::host]);
    request.origin = string_of(message[http::field::origin]);
    request.body = std::move(message.body());
    request.held = held;
    return request;
  }

  asio::awaitable<void> answer(Connection& connection, Parser& parser, std::shared_ptr<void>&& held) {
    connection.keep_alive = parser.get().keep_alive();
    connection.chunked = parser.get().version() >= 11;
    auto request = request_of(connection, parser, std::move(held));
    const bool head_only = request.method == "HEAD";
    Answered answered{request.id, request.client, request.method, request.path};
    const auto begin = Clock::now(), deadline = begin + limits_.answer_time;
    const auto exchange = std::make_shared<HttpExchange>(io_, limits_.events_waiting);
    connection.stream.expires_never();
    const Ending ending{*exchange};
    asio::co_spawn(io_, watch(connection, exchange, ending.over), asio::detached);
    handler_(std::move(request), exchange);
    while (!exchange->response && !exchange->streams && !exchange->is_gone && Clock::now() < deadline)
      co_await changes(*exchange, deadline);
    if (exchange->is_gone) {
      answered.status = 499;
    } else if (exchange->streams) {
      answered.status = co_await write_events(connection, *exchange, answered.id, deadline) ? 200 : 499;
    } else {
      if (!exchange->response) exchange->response = error_response({504, "the answer took too long"});
      const auto& response = *exchange->response;
      answered.status = response.status;
      const auto body = head_only ? std::string() : response.body;
      if (!co_await write(connection, head_of(connection, response, answered.id, false) + body))
        answered.status = 499;
    }
    *ending.over = true;
    beast::error_code ignored;
    if (connection.stream.socket().is_open()) connection.stream.socket().cancel(ignored);
    if (answered.status == 499) connection.keep_alive = false;
    answered.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    log_(answered);
  }

  static asio::awaitable<void> changes(HttpExchange& exchange, Clock::time_point until) {
    beast::error_code ignored;
    exchange.wake.expires_at(until);
    co_await exchange.wake.async_wait(asio::redirect_error(use_awaitable, ignored));
  }

  // Tells the exchange when the client goes while its answer is being made. `over`, and with it the end of
  // the connection's use, may come at any time.
  asio::awaitable<void> watch(Connection& connection, std::shared_ptr<HttpExchange> exchange,
                              std::shared_ptr<bool> over) {
    asio::steady_timer pause(io_);
    while (!*over) {
      auto& socket = connection.stream.socket();
      if (!socket.is_open() || hung_up(socket.native_handle())) co_return exchange->go();
      beast::error_code ignored;
      co_await socket.async_wait(tcp::socket::wait_read, asio::redirect_error(use_awaitable, ignored));
      if (*over || hung_up(socket.native_handle())) continue;
      pause.expires_after(kPoll);  // its next request has come early, and the socket stays readable
      co_await pause.async_wait(asio::redirect_error(use_awaitable, ignored));
    }
  }

  asio::awaitable<bool> write_events(Connection& connection, HttpExchange& exchange, const std::string& id,
                                     Clock::time_point deadline) {
    if (!connection.chunked) connection.keep_alive = false;
    Response head;
    head.type = "text/event-stream";
    bool ok = co_await write(connection, head_of(connection, head, id, true));
    while (ok && !exchange.is_gone) {
      if (!exchange.events.empty()) {
        ok = co_await write(connection, chunk_of(connection, exchange.take_event()));
      } else if (exchange.ended) {
        co_return !connection.chunked || co_await write(connection, "0\r\n\r\n");
      } else if (Clock::now() > deadline) {
        break;
      } else {
        const auto heartbeat = Clock::now() + kHeartbeat;
        co_await changes(exchange, heartbeat);
        if (Clock::now() >= heartbeat) ok = co_await write(connection, chunk_of(connection, ":\n\n"));
      }
    }
    co_return false;
  }

  static std::string chunk_of(const Connection& connection, const std::string& text) {
    return connection.chunked ? fmt::format("{:x}\r\n", text.size()) + text + "\r\n" : text;
  }

  asio::awaitable<bool> write(Connection& connection, std::string text) {
    for (size_t at = 0; at < text.size(); at += kPiece) {
      connection.stream.expires_after(limits_.write_time);
      beast::error_code error;
      co_await asio::async_write(connection.stream,
                                 asio::buffer(text.data() + at, std::min(kPiece, text.size() - at)),
                                 asio::redirect_error(use_awaitable, error));
      if (error) co_return false;
    }
    connection.stream.expires_never();
    co_return true;
  }

  static std::string head_of(const Connection& connection, const Response& response, const std::string& id,
                             bool events) {
    const auto reason = http::obsolete_reason(static_cast<http::status>(response.status));
    auto head = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\nX-Content-Type-Options: nosniff\r\n",
                            response.status, string_of(reason), response.type);
    if (!id.empty()) head += "x-request-id: " + id + "\r\n";
    for (const auto& [name, value] : response.headers) head += name + ": " + value + "\r\n";
    if (!events) head += fmt::format("Content-Length: {}\r\n", response.body.size());
    if (events && connection.chunked) head += "Transfer-Encoding: chunked\r\n";
    if (events) head += "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";
    return head + fmt::format("Connection: {}\r\n\r\n", connection.keep_alive ? "keep-alive" : "close");
  }

  static std::string peer_of(const Connection& connection) {
    beast::error_code error;
    const auto peer = connection.stream.socket().remote_endpoint(error);
    return error ? std::string() : peer.address().to_string();
  }

  const Limits limits_;
  const Handler handler_;
  const std::function<void(const Answered&)> log_;
  const std::shared_ptr<std::atomic<size_t>> bodies_ = std::make_shared<std::atomic<size_t>>(0);
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::list<Connection> connections_;  // those that read: the one that has been silent longest first
  std::atomic<size_t> count_ = 0;
  bool stopping_ = false;
  int port_ = 0;
  std::thread thread_;
};

HttpServer::HttpServer(const std::string& host, int port, const Limits& limits, Handler handler,
                       std::function<void(const Answered&)> log)
    : loop_(std::make_unique<Loop>(host, port, limits, std::move(handler), std::move(log))) {}
HttpServer::~HttpServer() = default;
void HttpServer::start() { loop_->start(); }
int HttpServer::port() const { return loop_->port(); }
size_t HttpServer::connections() const { return loop_->connections(); }
void HttpServer::stop(std::chrono::seconds grace) { loop_->stop(grace); }

}  // namespace dalle1::serve
