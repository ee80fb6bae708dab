#include "weights/pickle.h"

#include <bit>

#include "weights/pickle_stack.h"

namespace dalle1::weights {
namespace {

/// Runs the operations of one pickle.
class PickleMachine : PickleStack {
 public:
  PickleMachine(Pickle& pickle, uint64_t limit) : PickleStack(pickle, limit) {}

  void run() {
    for (uint32_t operations = 0;; ++operations) {
      require(operations < most_pickle_operations, "has more than 1000000 operations");
      operation_ = position_;
      auto code = static_cast<uint8_t>(take(1)[0]);
      if (code == '.') break;
      if (!scalar(code) && !text(code) && !container(code) && !memory(code) && !object(code))
        refuse_code(code);
    }
    finish();
  }

 private:
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
        remember(remembered());
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
};

}  // namespace

using Id = Pickle::Id;

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
