// The real server in a process of its own, and a client that can also behave badly.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/golden.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {

class Server {
 public:
  /// Starts `dalle1 serve` with a model on a free port and waits until it listens.
  explicit Server(const std::vector<std::string>& more = {},
                  const std::filesystem::path& model = shallow_model());
  ~Server();  ///< Kills it unless it has ended.
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  int process() const { return process_; }
  std::string log() const;  ///< What it wrote to stderr.
  void signal(int number) const;
  /// Its exit code once it ends; nothing after `seconds`.
  std::optional<int> wait(double seconds);

 private:
  ScratchDir scratch_;
  int process_ = -1, port_ = 0;
};

struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string body;                            ///< Without its chunks.
  nlohmann::json json() const { return nlohmann::json::parse(body); }
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

/// One connection.
class Client {
 public:
  explicit Client(const Server& server);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(const std::string& bytes);
  /// The next answer; status 0 when the server closed the connection instead, or said nothing for `seconds`.
  Reply receive(double seconds = 60);
  /// Bytes as they come, until `text` is among them; false as above.
  bool receive_until(const std::string& text, double seconds = 60);
  void close();
  const std::string& unread() const { return buffer_; }

 private:
  bool read_more(std::chrono::steady_clock::time_point deadline);
  bool read_body(Reply& reply, std::chrono::steady_clock::time_point deadline);

  int socket_ = -1;
  std::string buffer_;
};

/// A request's text; with a body its length is said.
std::string request_text(const std::string& method, const std::string& path, const std::string& body = {},
                         const std::vector<std::string>& headers = {});
std::string json_request(const std::string& path, const nlohmann::json& body);

struct FormField {
  std::string name, content;
  bool file = false;
};
std::string form_request(const std::string& path, const std::vector<FormField>& fields);

/// One request over a connection of its own.
Reply ask(const Server& server, const std::string& request);
Reply get(const Server& server, const std::string& path);

/// The data of a stream's events, in their order.
std::vector<nlohmann::json> events_of(const std::string& body);

std::string from_base64(const std::string& text);

}  // namespace dalle1::test
