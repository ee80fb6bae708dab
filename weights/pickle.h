// An inert reader of Python pickles: it builds a graph of plain values and calls nothing.
//
// A global is only a name. REDUCE and NEWOBJ make an opaque object that remembers the name, the arguments,
// the state and the entries that were given to it; what a few well-known names mean is decided by the reader
// of the graph.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/file_bytes.h"

namespace dalle1::weights {

constexpr uint64_t largest_pickle = 64u << 20;  ///< Bytes.
constexpr uint32_t most_pickle_operations = 1'000'000;
constexpr int deepest_pickle = 100;  ///< Values within values, and open marks.

class Pickle {
 public:
  using Id = uint32_t;

  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    big_integer,  ///< Wider than 64 bits: bytes() has it, little-endian.
    real,
    text,
    bytes,
    list,
    tuple,
    dict,  ///< items() alternates keys and values.
    set,
    global,
    object,
    persistent  ///< A persistent id; arguments() is the id's value.
  };

  /// Reads the one pickle that starts at byte `begin` of `file` and must end before `end`. Error(model) names
  /// the byte.
  Pickle(const FileBytes& file, uint64_t begin, uint64_t end);

  Id root() const { return root_; }
  uint64_t end() const { return end_; }          ///< First byte after the STOP.
  size_t size() const { return nodes_.size(); }  ///< Ids are 0 to size() - 1.

  Kind kind(Id id) const { return nodes_[id].kind; }
  bool boolean(Id id) const { return nodes_[id].integer != 0; }
  int64_t integer(Id id) const { return nodes_[id].integer; }
  double real(Id id) const { return nodes_[id].real; }
  std::string_view text(Id id) const;  ///< Of text and bytes and big integers. Text is valid UTF-8.
  /// Of list, tuple, set, dict; of an object, entries set or appended.
  std::span<const Id> items(Id id) const;

  std::string_view module(Id global) const { return text(nodes_[global].pair.first); }
  std::string_view name(Id global) const { return text(nodes_[global].pair.second); }
  bool is_global(Id id, std::string_view module, std::string_view name) const;

  static constexpr Id nothing = UINT32_MAX;
  Id callee(Id object) const;  ///< The global, or the persistent id, that was called.
  Id arguments(Id id) const;   ///< A tuple for an object.
  Id state(Id object) const;   ///< What BUILD gave, or `nothing`.
  bool is_call_of(Id id, std::string_view module, std::string_view name) const;

 private:
  friend class PickleStack;

  // 16 bytes a value and texts left in the file: the graph of a hostile pickle cannot outgrow its budget.
  struct Node {
    struct Text {
      uint32_t offset, size;  // from begin_
    };
    struct Pair {
      Id first, second;
    };
    Kind kind = Kind::none;
    uint8_t depth = 1;
    uint32_t container = nothing;
    union {
      int64_t integer = 0;
      double real;
      Text text;
      Pair pair;
    };
  };
  struct Container {
    std::vector<Id> items;
    Id callee = nothing, arguments = nothing, state = nothing;
  };

  const Container* container(Id id) const;

  FileBytes file_;
  uint64_t begin_ = 0, end_ = 0;
  std::deque<Node> nodes_;
  std::deque<Container> containers_;
  Id root_ = 0;
};

}  // namespace dalle1::weights
