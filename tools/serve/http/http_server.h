// HTTP/1.1 over TCP: connections, their limits and deadlines, and telling that a client has gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tools/serve/http/exchange.h"
#include "tools/serve/http/limits.h"

namespace dalle1::serve {

/// What an answered request was, for a log.
struct Answered {
  std::string id, client, method, path;
  int status = 0;  ///< 499 where the client had gone.
  double seconds = 0;
};

class HttpServer {
 public:
  /// Binds; Error(usage) where that fails. Port 0: any free one. `handler` and `log` are called by the one
  /// thread that does all input and output.
  HttpServer(const std::string& host, int port, const Limits& limits, Handler handler,
             std::function<void(const Answered&)> log);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Begins to take connections.
  void start();
  int port() const;
  size_t connections() const;
  /// No new connections; waits until the answers that are on their way are out, as long as `grace`.
  /// Afterwards nothing is called any more, and exchanges that somebody still holds do nothing.
  void stop(std::chrono::seconds grace);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

/// Whether only this machine reaches the address: localhost, 127.0.0.0/8, ::1.
bool is_loopback(const std::string& host);

}  // namespace dalle1::serve
