#include "weights/pickle.h"

#include <algorithm>
#include <bit>

#include "weights/small_json.h"

namespace dalle1::weights {

using Id = Pickle::Id;
using Kind = Pickle::Kind;

/// Runs the operations of one pickle: a stack, marks and a memo.
class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, uint64_t limit) : pickle_(pickle), position_(pickle.begin_), limit_(limit) {}

  void run() {
    for (uint32_t operations = 0;; ++operations) {
      require(operations < most_pickle_operations, "has more than 1000000 operations");
      operation_ = position_;
      auto code = static_cast<uint8_t>(take(1)[0]);
      if (code == '.') break;
      if (!scalar(code) && !text(code) && !container(code) && !memory(code) && !object(code))
        refuse_code(code);
    }
    require(stack_.size() == 1 && marks_.empty(), "does not end with one value");
    pickle_.root_ = stack_.back();
    pickle_.end_ = position_;
  }

 private:
  using Node = Pickle::Node;

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

  bool scalar(uint8_t code) {
    switch (code) {
      case 'N':
        push(add(Kind::none));
        return true;
      case 0x88:
        push_integer(1, Kind::boolean);
        return true;
      case 0x89:
        push_integer(0, Kind::boolean);
        return true;
      case 'J':
        push_integer(number<int32_t>());
        return true;
      case 'K':
        push_integer(number<uint8_t>());
        return true;
      case 'M':
        push_integer(number<uint16_t>());
        return true;
      case 0x8a:
        push_long(number<uint8_t>());
        return true;
      case 0x8b:
        push_long(number<uint32_t>());
        return true;
      case 'G': {
        Id id = add(Kind::real);
        node(id).real = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()));
        push(id);
        return true;
      }
      default:
        return false;
    }
  }

  void push_long(uint32_t size) {  // two's complement, little-endian
    if (size > 8) return push(add_text(Kind::big_integer, size));
    auto bytes = take(size);
    bool negative = size > 0 && (bytes[size - 1] & std::byte{0x80}) != std::byte{0};
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, bytes.data(), size);
    push_integer(value);
  }

  bool text(uint8_t code) {
    switch (code) {
      case 'X':
        push(add_text(Kind::text, number<uint32_t>()));
        return true;
      case 0x8c:
        push(add_text(Kind::text, number<uint8_t>()));
        return true;
      case 0x8d:
        push(add_text(Kind::text, number<uint64_t>()));
        return true;
      case 'T':  // Python 2's str: text if it is UTF-8, which every name is
        push(add_text(Kind::text, number<uint32_t>()));
        return true;
      case 'U':
        push(add_text(Kind::text, number<uint8_t>()));
        return true;
      case 'B':
        push(add_text(Kind::bytes, number<uint32_t>()));
        return true;
      case 'C':
        push(add_text(Kind::bytes, number<uint8_t>()));
        return true;
      case 0x8e:
        push(add_text(Kind::bytes, number<uint64_t>()));
        return true;
      default:
        return false;
    }
  }

  bool container(uint8_t code) {
    switch (code) {
      case '(':
        require(marks_.size() < static_cast<size_t>(deepest_pickle), "is nested deeper than 100");
        marks_.push_back(static_cast<uint32_t>(stack_.size()));
        return true;
      case ')':
        push_tuple({});
        return true;
      case 't':
        push_tuple(pop_to_mark());
        return true;
      case 0x85:
      case 0x86:
      case 0x87: {
        size_t count = code - 0x84u;
        require(available() >= count, "takes a value from an empty stack");
        std::vector<Id> values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
        stack_.resize(stack_.size() - count);
        push_tuple(values);
        return true;
      }
      case ']':
        push(add(Kind::list));
        return true;
      case '}':
        push(add(Kind::dict));
        return true;
      case 0x8f:
        push(add(Kind::set));
        return true;
      case 'l':
        return group(Kind::list);
      case 'd':
        return group(Kind::dict);
      case 0x91:
        return group(Kind::set);
      case 'a': {
        Id value = pop();
        give(top(), {&value, 1}, Kind::list, "appends to something that is not a list");
        return true;
      }
      case 'e':
        return give_group(Kind::list, "appends to something that is not a list");
      case 0x90:
        return give_group(Kind::set, "adds to something that is not a set");
      case 's': {
        Id value = pop(), key = pop();
        const Id pair[] = {key, value};
        give(top(), pair, Kind::dict, "sets an entry of something that is not a dict");
        return true;
      }
      case 'u':
        return give_group(Kind::dict, "sets entries of something that is not a dict");
      default:
        return false;
    }
  }
  bool group(Kind kind) {
    std::vector<Id> values = pop_to_mark();
    require(kind != Kind::dict || values.size() % 2 == 0, "has a dict with a key but no value");
    Id id = add(kind);
    extend(id, values);
    push(id);
    return true;
  }
  bool give_group(Kind kind, std::string_view complaint) {
    std::vector<Id> values = pop_to_mark();
    require(kind != Kind::dict || values.size() % 2 == 0, "has a dict with a key but no value");
    give(top(), values, kind, complaint);
    return true;
  }

  bool memory(uint8_t code) {
    switch (code) {
      case 'q':
        remember(number<uint8_t>());
        return true;
      case 'r':
        remember(number<uint32_t>());
        return true;
      case 0x94:
        remember(memo_.size());
        return true;
      case 'h':
        recall(number<uint8_t>());
        return true;
      case 'j':
        recall(number<uint32_t>());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_to_mark();
        return true;
      default:
        return false;
    }
  }
  void remember(uint64_t index) {
    require(index < most_pickle_operations, "has a memo index above 1000000");
    if (index >= memo_.size()) memo_.resize(index + 1, Pickle::nothing);
    memo_[index] = top();
  }
  void recall(uint64_t index) {
    require(index < memo_.size() && memo_[index] != Pickle::nothing, "recalls a value that it never stored");
    push(memo_[index]);
  }

  bool object(uint8_t code) {
    switch (code) {
      case 0x80:
        require(number<uint8_t>() <= 5, "has a protocol above 5");
        return true;
      case 0x95:
        require(number<uint64_t>() <= limit_ - position_, "has a frame that reaches beyond its end");
        return true;
      case 'c': {
        Id module = add_line(), name = add_line();
        push_global(module, name);
        return true;
      }
      case 0x93: {
        Id name = pop(), module = pop();
        push_global(module, name);
        return true;
      }
      case 'Q': {
        Id value = pop(), id = add(Kind::persistent);
        container_of(id).arguments = value;
        deepen(id, value);
        push(id);
        return true;
      }
      case 'R':
      case 0x81: {
        Id arguments = pop(), callee = pop();
        push_object(callee, arguments);
        return true;
      }
      case 'b': {
        Id state = pop(), target = top();
        require(pickle_.kind(target) == Kind::object, "gives a state to something that is not an object");
        require(container_of(target).state == Pickle::nothing, "gives a state twice");
        container_of(target).state = state;
        deepen(target, state);
        return true;
      }
      default:
        return false;
    }
  }

  Pickle& pickle_;
  uint64_t position_, limit_;
  uint64_t operation_ = 0;  // where the current one starts
  std::vector<Id> stack_;
  std::vector<uint32_t> marks_;
  std::vector<Id> memo_;
};

Pickle::Pickle(const FileBytes& file, uint64_t begin, uint64_t end) : file_(file), begin_(begin) {
  check(begin <= end && end <= file.size(), ErrorKind::model, "{}: no pickle at byte {}", file.name, begin);
  PickleMachine(*this, std::min(end, begin + largest_pickle)).run();
}

std::string_view Pickle::text(Id id) const {
  Node::Text where = nodes_[id].text;
  return text_of(file_.bytes.subspan(begin_ + where.offset, where.size));
}

const Pickle::Container* Pickle::container(Id id) const {
  uint32_t index = nodes_[id].container;
  return index == nothing ? nullptr : &containers_[index];
}

std::span<const Id> Pickle::items(Id id) const {
  const Container* found = container(id);
  return found ? std::span<const Id>(found->items) : std::span<const Id>();
}

Id Pickle::callee(Id id) const { return container(id) ? container(id)->callee : nothing; }
Id Pickle::arguments(Id id) const { return container(id) ? container(id)->arguments : nothing; }
Id Pickle::state(Id id) const { return container(id) ? container(id)->state : nothing; }

bool Pickle::is_global(Id id, std::string_view module_name, std::string_view global_name) const {
  return id != nothing && kind(id) == Kind::global && module(id) == module_name && name(id) == global_name;
}

bool Pickle::is_call_of(Id id, std::string_view module_name, std::string_view global_name) const {
  return kind(id) == Kind::object && is_global(callee(id), module_name, global_name);
}

}  // namespace dalle1::weights
