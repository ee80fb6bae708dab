// What the operations of a pickle work on: its bytes, a stack with marks, and a memo. The limits on values,
// depth and lengths are kept here.
#pragma once

#include <algorithm>
#include <vector>

#include "weights/pickle.h"
#include "weights/small_json.h"

namespace dalle1::weights {

class PickleStack {
 protected:
  using Id = Pickle::Id;
  using Kind = Pickle::Kind;
  using Node = Pickle::Node;

  PickleStack(Pickle& pickle, uint64_t limit) : pickle_(pickle), position_(pickle.begin_), limit_(limit) {}

  void require(bool condition, std::string_view complaint) {
    check(condition, ErrorKind::model, "{}: the pickle {} (byte {})", pickle_.file_.name, complaint,
          operation_);
  }
  [[noreturn]] void refuse_code(uint8_t code) {
    fail(ErrorKind::model,
         "{}: byte {} of the pickle is operation 0x{:02x}, which no PyTorch checkpoint uses",
         pickle_.file_.name, operation_, code);
  }

  std::span<const std::byte> take(uint64_t size) {
    require(size <= limit_ - position_, "is cut short or has a length that reaches beyond its end");
    auto bytes = pickle_.file_.bytes.subspan(position_, size);
    position_ += size;
    return bytes;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  Node& node(Id id) { return pickle_.nodes_[id]; }
  Id add(Kind kind) {
    Node fresh;
    fresh.kind = kind;
    pickle_.nodes_.push_back(fresh);
    return static_cast<Id>(pickle_.nodes_.size() - 1);
  }
  void push(Id id) { stack_.push_back(id); }
  Id push_integer(int64_t value, Kind kind = Kind::integer) {
    Id id = add(kind);
    node(id).integer = value;
    push(id);
    return id;
  }
  Id add_text(Kind kind, uint64_t size) {
    Id id = add(kind);
    node(id).text = {static_cast<uint32_t>(position_ - pickle_.begin_), static_cast<uint32_t>(size)};
    auto bytes = text_of(take(size));
    require(kind != Kind::text || is_utf8(bytes), "has a text that is not UTF-8");
    return id;
  }
  Id add_line() {
    auto rest = text_of(pickle_.file_.bytes.subspan(position_, limit_ - position_));
    size_t size = rest.find('\n');
    require(size != std::string_view::npos, "is cut short");
    Id id = add_text(Kind::text, size);
    take(1);
    return id;
  }

  /// Values above the last mark, or all; operations never reach below it.
  size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }
  Id pop() {
    require(available() > 0, "takes a value from an empty stack");
    Id id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Id top() {
    require(available() > 0, "looks at an empty stack");
    return stack_.back();
  }
  std::vector<Id> pop_to_mark() {
    require(!marks_.empty(), "ends a group that it never began");
    std::vector<Id> values(stack_.begin() + marks_.back(), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return values;
  }

  Pickle::Container& container_of(Id id) {
    if (node(id).container == Pickle::nothing) {
      node(id).container = static_cast<uint32_t>(pickle_.containers_.size());
      pickle_.containers_.emplace_back();
    }
    return pickle_.containers_[node(id).container];
  }
  void deepen(Id outer, Id inner) {
    int depth = std::max<int>(node(outer).depth, node(inner).depth + 1);
    require(depth <= deepest_pickle, "is nested deeper than 100");
    node(outer).depth = static_cast<uint8_t>(depth);
  }
  void extend(Id id, std::span<const Id> values) {
    if (values.empty()) return;
    auto& items = container_of(id).items;
    items.insert(items.end(), values.begin(), values.end());
    for (Id value : values) deepen(id, value);
  }
  void push_tuple(std::span<const Id> values) {
    Id id = add(Kind::tuple);
    extend(id, values);
    push(id);
  }
  void push_object(Id callee, Id arguments) {
    Kind kind = pickle_.kind(callee);
    require(kind == Kind::global || kind == Kind::persistent, "calls something that is not a name");
    require(pickle_.kind(arguments) == Kind::tuple, "calls with arguments that are not a tuple");
    Id id = add(Kind::object);
    auto& object = container_of(id);
    object.callee = callee;
    object.arguments = arguments;
    deepen(id, arguments);
    push(id);
  }
  void push_global(Id module, Id name) {
    require(pickle_.kind(module) == Kind::text && pickle_.kind(name) == Kind::text,
            "names a global by no text");
    Id id = add(Kind::global);
    node(id).pair = {module, name};
    push(id);
  }
  void give(Id target, std::span<const Id> values, Kind kind, std::string_view complaint) {
    require(pickle_.kind(target) == kind || pickle_.kind(target) == Kind::object, complaint);
    extend(target, values);
  }
  void push_long(uint32_t size) {  // two's complement, little-endian
    if (size > 8) return push(add_text(Kind::big_integer, size));
    auto bytes = take(size);
    bool negative = size > 0 && (bytes[size - 1] & std::byte{0x80}) != std::byte{0};
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, bytes.data(), size);
    push_integer(value);
  }

  size_t remembered() const { return memo_.size(); }
  void remember(uint64_t index) {
    require(index < most_pickle_operations, "has a memo index above 1000000");
    if (index >= memo_.size()) memo_.resize(index + 1, Pickle::nothing);
    memo_[index] = top();
  }
  void recall(uint64_t index) {
    require(index < memo_.size() && memo_[index] != Pickle::nothing, "recalls a value that it never stored");
    push(memo_[index]);
  }

  /// The one value that is left; Error(model) otherwise.
  void finish() {
    require(stack_.size() == 1 && marks_.empty(), "does not end with one value");
    pickle_.root_ = stack_.back();
    pickle_.end_ = position_;
  }

  Pickle& pickle_;
  uint64_t position_, limit_;
  uint64_t operation_ = 0;  // where the current one starts
  std::vector<Id> stack_;
  std::vector<uint32_t> marks_;
  std::vector<Id> memo_;
};

}  // namespace dalle1::weights
