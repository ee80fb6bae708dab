// What a request and its answer are to the rest of the server, whatever library speaks HTTP.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace dalle1::serve {

struct Request {
  std::string id;      ///< Unique, unguessable; the answer's x-request-id.
  std::string client;  ///< Who shares the queue: an address, or the key that was shown.
  std::string method;  ///< "GET", "POST", ...
  std::string path;    ///< Without the query.
  std::string content_type, authorization, host, origin;
  std::string body;
  std::shared_ptr<void> held;  ///< The body's share of what all bodies may take; freed with it.
};

struct Response {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// Where the answer to one request goes: respond() once, or begin_events(), events and end(). From any
/// thread; once the client has gone, calls do nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual void respond(Response response) = 0;
  virtual void begin_events() = 0;
  /// One server-sent event. A `droppable` one is left out while the client is slow to take what it has.
  virtual void event(std::string text, bool droppable) = 0;
  virtual void end() = 0;
  /// `gone` is called at most once, when the client goes away or the answer takes too long; at once where
  /// that has happened already.
  virtual void on_gone(std::function<void()> gone) = 0;
};

/// Takes a request, quickly; the answer may come later, from elsewhere.
using Handler = std::function<void(Request request, std::shared_ptr<Exchange> exchange)>;

}  // namespace dalle1::serve
