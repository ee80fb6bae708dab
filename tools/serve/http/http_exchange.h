// An answer on its way: filled by any thread, taken by the connection that writes it.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <optional>

#include "tools/serve/http/exchange.h"

namespace dalle1::serve {

class HttpExchange final : public Exchange, public std::enable_shared_from_this<HttpExchange> {
 public:
  /// `most_waiting`: bytes of events beyond which droppable ones are dropped.
  HttpExchange(boost::asio::io_context& io, size_t most_waiting)
      : wake(io), io_(io), most_waiting_(most_waiting) {}

  void respond(Response answer) override {
    change([answer = std::move(answer)](HttpExchange& self) mutable {
      if (!self.response && !self.streams) self.response = std::move(answer);
    });
  }
  void begin_events() override {
    change([](HttpExchange& self) { self.streams = !self.response; });
  }
  void event(std::string text, bool droppable) override {
    if (droppable && waiting_ > most_waiting_) return;
    waiting_ += text.size();
    change([text = std::move(text)](HttpExchange& self) mutable { self.events.push_back(std::move(text)); });
  }
  void end() override {
    change([](HttpExchange& self) { self.ended = true; });
  }
  void on_gone(std::function<void()> action) override {
    boost::asio::post(io_, [self = shared_from_this(), action = std::move(action)]() mutable {
      if (self->is_gone) return action();
      self->gone_ = std::move(action);
    });
  }

  // All below by the connection alone, in the thread of input and output.
  void go() {
    is_gone = true;
    events.clear();
    wake.cancel();
    if (const auto action = std::exchange(gone_, nullptr)) action();
  }
  std::string take_event() {
    auto text = std::move(events.front());
    events.pop_front();
    waiting_ -= text.size();
    return text;
  }
  boost::asio::steady_timer wake;  ///< Cancelled when something of the following changes.
  std::optional<Response> response;
  std::deque<std::string> events;
  bool streams = false, ended = false, is_gone = false;

 private:
  template <typename Action>
  void change(Action action) {
    boost::asio::post(io_, [self = shared_from_this(), action = std::move(action)]() mutable {
      if (self->is_gone) return;
      action(*self);
      self->wake.cancel();
    });
  }

  boost::asio::io_context& io_;
  const size_t most_waiting_;
  std::atomic<size_t> waiting_ = 0;
  std::function<void()> gone_;
};

}  // namespace dalle1::serve
