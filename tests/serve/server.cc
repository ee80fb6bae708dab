#include "tests/serve/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/tools/tiny_model.h"

namespace dalle1::test {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point in(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// The port in the event that the server writes when it listens; 0 before.
int port_in(const std::string& log) {
  const size_t event = log.find("\"event\":\"listening\"");
  if (event == log.npos || log.find('\n', event) == log.npos) return 0;
  const auto line =
      log.substr(log.rfind('\n', event) + 1, log.find('\n', event) - log.rfind('\n', event) - 1);
  const std::string url = nlohmann::json::parse(line)["url"];
  return std::stoi(url.substr(url.rfind(':') + 1));
}

}  // namespace

Server::Server(const std::vector<std::string>& more, const std::filesystem::path& model) {
  std::vector<std::string> arguments = {DALLE1_PROGRAM, "serve", "--model",    model.string(),
                                        "--port",       "0",     "--progress", "json",
                                        "--threads",    "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const auto err = (scratch_ / "err").string();
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("cannot fork");
  if (process_ == 0) {
    dup2(open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    execv(DALLE1_PROGRAM, argv.data());
    _exit(98);
  }
  for (const auto deadline = in(60); port_ == 0; std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
    port_ = port_in(log());
    if (Clock::now() > deadline || wait(0)) throw std::runtime_error("the server does not listen: " + log());
  }
}

Server::~Server() {
  if (process_ < 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

std::string Server::log() const {
  std::ifstream file(scratch_ / "err", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Server::signal(int number) const { kill(process_, number); }

std::optional<int> Server::wait(double seconds) {
  for (const auto deadline = in(seconds);; std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
    int status = 0;
    if (waitpid(process_, &status, WNOHANG) == process_) {
      process_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (Clock::now() >= deadline) return std::nullopt;
  }
}

Client::Client(const Server& server) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(server.port()));
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::runtime_error("cannot connect");
}

Client::~Client() { close(); }

void Client::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void Client::send(const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const auto n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;  // what the server said before it closed is still to be read
    sent += static_cast<size_t>(n);
  }
}

bool Client::read_more(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd readable = {socket_, POLLIN, 0};
  if (poll(&readable, 1, static_cast<int>(std::max<int64_t>(0, left))) <= 0) return false;
  char bytes[65536];
  const auto n = recv(socket_, bytes, sizeof bytes, 0);
  if (n > 0) buffer_.append(bytes, static_cast<size_t>(n));
  return n > 0;
}

bool Client::receive_until(const std::string& text, double seconds) {
  for (const auto deadline = in(seconds); buffer_.find(text) == buffer_.npos;)
    if (!read_more(deadline)) return false;
  return true;
}

bool Client::read_body(Reply& reply, Clock::time_point deadline) {
  const auto have = [&](size_t bytes) {
    while (buffer_.size() < bytes)
      if (!read_more(deadline)) return false;
    return true;
  };
  if (reply.header("transfer-encoding") != "chunked") {
    const size_t size = std::stoul(reply.header("content-length"));
    if (!have(size)) return false;
    reply.body = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return true;
  }
  for (;;) {
    while (buffer_.find("\r\n") == buffer_.npos)
      if (!read_more(deadline)) return false;
    const size_t size = std::stoul(buffer_, nullptr, 16), begin = buffer_.find("\r\n") + 2;
    if (!have(begin + size + 2)) return false;
    reply.body += buffer_.substr(begin, size);
    buffer_.erase(0, begin + size + 2);
    if (size == 0) return true;
  }
}

Reply Client::receive(double seconds) {
  const auto deadline = in(seconds);
  if (!receive_until("\r\n\r\n", seconds)) return {};
  const size_t end = buffer_.find("\r\n\r\n");
  std::istringstream head(buffer_.substr(0, end));
  buffer_.erase(0, end + 4);
  Reply reply;
  std::string line;
  std::getline(head, line);
  reply.status = std::stoi(line.substr(9));
  while (std::getline(head, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const size_t colon = line.find(':');
    reply.headers[lower(line.substr(0, colon))] = line.substr(line.find_first_not_of(' ', colon + 1));
  }
  if (reply.status == 100) return receive(seconds);
  return read_body(reply, deadline) ? reply : Reply{};
}

std::string request_text(const std::string& method, const std::string& path, const std::string& body,
                         const std::vector<std::string>& headers) {
  std::string text = method + " " + path + " HTTP/1.1\r\nHost: localhost\r\n";
  for (const auto& header : headers) text += header + "\r\n";
  if (!body.empty() || method == "POST") text += fmt::format("Content-Length: {}\r\n", body.size());
  return text + "\r\n" + body;
}

std::string json_request(const std::string& path, const nlohmann::json& body) {
  return request_text("POST", path, body.dump(), {"Content-Type: application/json"});
}

std::string form_request(const std::string& path, const std::vector<FormField>& fields) {
  std::string body;
  for (const auto& field : fields)
    body += "--bound\r\nContent-Disposition: form-data; name=\"" + field.name + "\"" +
            (field.file ? "; filename=\"x.png\"\r\nContent-Type: image/png" : "") + "\r\n\r\n" +
            field.content + "\r\n";
  return request_text("POST", path, body + "--bound--\r\n",
                      {"Content-Type: multipart/form-data; boundary=bound"});
}

Reply ask(const Server& server, const std::string& request) {
  Client client(server);
  client.send(request);
  return client.receive();
}

Reply get(const Server& server, const std::string& path) { return ask(server, request_text("GET", path)); }

std::vector<nlohmann::json> events_of(const std::string& body) {
  std::vector<nlohmann::json> events;
  std::istringstream lines(body);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("data: ")) events.push_back(nlohmann::json::parse(line.substr(6)));
  return events;
}

std::string from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
    if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 255);
  }
  return bytes;
}

}  // namespace dalle1::test
