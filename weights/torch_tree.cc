#include "weights/torch_tree.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

using Id = Pickle::Id;
using Kind = Pickle::Kind;

constexpr int deepest_tree = 100;
constexpr size_t most_visits = 1'000'000, most_found = 100'000, most_text = 16u << 20, longest_list = 4096;
constexpr size_t max_dimensions = 8;

/// Under which a training program keeps the model beside its optimiser and counters.
constexpr const char* state_keys[] = {"state_dict", "model_state_dict", "model", "module", "weights"};

struct StorageName {
  std::string_view name;
  DType dtype;
};
constexpr StorageName storage_names[] = {{"FloatStorage", DType::f32},     {"HalfStorage", DType::f16},
                                         {"BFloat16Storage", DType::bf16}, {"DoubleStorage", DType::f64},
                                         {"CharStorage", DType::i8},       {"ByteStorage", DType::u8},
                                         {"ShortStorage", DType::i16},     {"IntStorage", DType::i32},
                                         {"LongStorage", DType::i64},      {"BoolStorage", DType::boolean}};

bool is_text(const Pickle& pickle, Id id, std::string_view text) {
  return id != Pickle::nothing && pickle.kind(id) == Kind::text && pickle.text(id) == text;
}

std::span<const Id> tuple_of(const Pickle& pickle, Id id) {
  return id != Pickle::nothing && pickle.kind(id) == Kind::tuple ? pickle.items(id) : std::span<const Id>();
}

/// A view of a storage: shape, strides and where it starts, in elements.
struct View {
  std::vector<int64_t> shape, strides;
  int64_t offset = 0;

  bool is_row_major() const {
    int64_t expected = 1;
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (shape[axis] != 1 && strides[axis] != expected) return false;
      expected *= shape[axis];
    }
    return true;
  }

  /// One more than the largest element index that is read; -1 on overflow.
  int64_t reach(int64_t numel) const {
    int64_t last = offset;
    if (numel == 0) return last;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      int64_t step;
      if (__builtin_mul_overflow(shape[axis] - 1, strides[axis], &step) ||
          __builtin_add_overflow(last, step, &last))
        return -1;
    }
    return __builtin_add_overflow(last, 1, &last) ? -1 : last;
  }

  /// Copies the elements in row-major order.
  std::string gather(std::span<const std::byte> storage, size_t element) const {
    std::string out;
    out.reserve(static_cast<size_t>(checked_numel(shape)) * element);
    std::vector<int64_t> index(shape.size(), 0);
    for (int64_t left = checked_numel(shape); left > 0; --left) {
      int64_t at = offset;
      for (size_t axis = 0; axis < shape.size(); ++axis) at += index[axis] * strides[axis];
      out += text_of(storage.subspan(static_cast<size_t>(at) * element, element));
      for (size_t axis = shape.size(); axis-- > 0 && ++index[axis] == shape[axis];) index[axis] = 0;
    }
    return out;
  }
};

class TreeWalker {
 public:
  TreeWalker(const FileBytes& file, const Pickle& pickle, const StorageReader& storage, StateFile& state)
      : file_(file), pickle_(pickle), read_storage_(storage), state_(state), copy_budget_(file.size()) {}

  void run() {
    Id root = pickle_.root();
    for (const char* key : state_keys) {
      const auto inner = entry(root, key);
      if (!inner || !is_mapping(*inner)) continue;
      walk_settings(root, key);
      root = *inner;
      break;
    }
    if (pickle_.kind(root) == Kind::object && !is_mapping(root)) state_.root_class = class_name(root);
    walk(root, 0);
    check(!state_.tensors.empty(), ErrorKind::model, "{}: no tensors in it{}", file_.name,
          state_.root_class.empty() ? "" : "; it is a pickled '" + printable(state_.root_class) + "'");
    std::vector<std::string_view> names;
    names.reserve(state_.tensors.size());
    for (const RawTensor& tensor : state_.tensors) names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    auto twice = std::adjacent_find(names.begin(), names.end());
    check(twice == names.end(), ErrorKind::model, "{}: two tensors are called '{}'", file_.name,
          twice == names.end() ? "" : printable(*twice));
  }

 private:
  void require(bool condition, std::string_view complaint) {
    check(condition, ErrorKind::model, "{}: '{}' {}", file_.name, printable(path_), complaint);
  }

  /// A dict or an OrderedDict.
  bool is_mapping(Id id) const {
    return pickle_.kind(id) == Kind::dict || pickle_.is_call_of(id, "collections", "OrderedDict");
  }

  std::optional<Id> entry(Id mapping, std::string_view key) const {
    if (mapping == Pickle::nothing || !is_mapping(mapping)) return {};
    auto items = pickle_.items(mapping);
    for (size_t i = 0; i + 1 < items.size(); i += 2)
      if (is_text(pickle_, items[i], key)) return items[i + 1];
    return {};
  }

  std::string class_name(Id object) const {
    Id callee = pickle_.callee(object);
    if (pickle_.kind(callee) == Kind::persistent) {
      auto parts = tuple_of(pickle_, pickle_.arguments(callee));
      callee = is_persistent_class(pickle_, callee) && parts.size() > 1 ? parts[1] : Pickle::nothing;
    }
    if (callee == Pickle::nothing || pickle_.kind(callee) != Kind::global) return "";
    return std::string(pickle_.module(callee)) + "." + std::string(pickle_.name(callee));
  }

  void walk(Id id, int depth) {
    require(depth <= deepest_tree, "is nested deeper than 100");
    require(++visits_ <= most_visits, "is one of more than 1000000 values");
    if (pickle_.is_call_of(id, "torch._utils", "_rebuild_parameter")) {
      auto arguments = pickle_.items(pickle_.arguments(id));
      require(!arguments.empty(), "is a parameter without data");
      return walk(arguments[0], depth + 1);
    }
    if (pickle_.is_call_of(id, "torch._utils", "_rebuild_tensor_v2") ||
        pickle_.is_call_of(id, "torch._utils", "_rebuild_tensor"))
      return add_tensor(id);
    if (is_mapping(id)) return walk_entries(id, depth);
    if (pickle_.kind(id) == Kind::object) return walk_object(id, depth);
    add_attribute(id);
  }

  /// The plain values beside the model, and those one level below.
  void walk_settings(Id root, std::string_view model) {
    kept_ = &state_.settings;
    auto items = pickle_.items(root);
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      if (pickle_.kind(items[i]) != Kind::text || pickle_.text(items[i]) == model) continue;
      path_ = pickle_.text(items[i]);
      require(path_.size() <= longest_tensor_name, "has a name that is too long");
      if (is_mapping(items[i + 1]))
        walk_entries(items[i + 1], 1, true);
      else
        add_attribute(items[i + 1]);
    }
    path_.clear();
    kept_ = &state_.attributes;
  }

  void walk_entries(Id mapping, int depth, bool attributes_only = false) {
    auto items = pickle_.items(mapping);
    const size_t length = path_.size();
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      if (pickle_.kind(items[i]) != Kind::text) continue;
      if (attributes_only && pickle_.kind(items[i + 1]) >= Kind::dict) continue;
      if (length > 0) path_ += '.';
      path_ += pickle_.text(items[i]);
      require(path_.size() <= longest_tensor_name, "has a name that is too long");
      walk(items[i + 1], depth + 1);
      path_.resize(length);
    }
  }

  void walk_object(Id object, int depth) {
    Id state = pickle_.state(object);
    if (state == Pickle::nothing || !is_mapping(state)) return;
    if (class_name(object).starts_with("__torch__.")) return walk_entries(state, depth + 1);
    auto modules = entry(state, "_modules"), parameters = entry(state, "_parameters");
    if (!modules && !parameters) return;
    walk_entries(state, depth + 1, true);
    for (auto group : {parameters, entry(state, "_buffers"), modules})
      if (group && is_mapping(*group)) walk_entries(*group, depth + 1);
  }

  void add_tensor(Id call) {
    auto arguments = pickle_.items(pickle_.arguments(call));
    require(arguments.size() >= 4 && pickle_.kind(arguments[0]) == Kind::persistent,
            "is no tensor that can be read");
    StorageReference storage = storage_reference(file_.name, pickle_, arguments[0]);
    View view;
    require(pickle_.kind(arguments[1]) == Kind::integer, "has an offset that is no number");
    view.offset = pickle_.integer(arguments[1]);
    view.shape = sizes(arguments[2]);
    view.strides = sizes(arguments[3]);
    require(view.shape.size() == view.strides.size() && view.offset >= 0,
            "has a shape and strides that disagree");
    const int64_t numel = checked_numel(view.shape);
    require(numel >= 0, "has a size that overflows");
    const int64_t reach = view.reach(numel);
    check(reach >= 0 && reach <= storage.numel && numel <= storage.numel, ErrorKind::model,
          "{}: tensor '{}' {} at element {} lies outside its storage of {} elements", file_.name,
          printable(path_), shape_text(view.shape), view.offset, storage.numel);
    const size_t element = size_of(storage.dtype);
    auto bytes = storage_bytes(storage, static_cast<uint64_t>(storage.numel) * element);
    RawTensor tensor{path_, storage.dtype, view.shape, {}, file_.owner};
    if (numel == 0 || view.is_row_major()) {
      tensor.bytes =
          bytes.subspan(static_cast<size_t>(view.offset) * element, static_cast<size_t>(numel) * element);
    } else {
      copy(tensor, view, bytes);
    }
    count_name();
    state_.tensors.push_back(std::move(tensor));
  }

  void copy(RawTensor& tensor, const View& view, std::span<const std::byte> storage) {
    const uint64_t size = static_cast<uint64_t>(tensor.numel()) * size_of(tensor.dtype);
    require(size <= copy_budget_,
            "cannot be copied into rows: such tensors together are larger than the file");
    copy_budget_ -= size;
    FileBytes copied = bytes_in_memory(path_, view.gather(storage, size_of(tensor.dtype)));
    tensor.bytes = copied.bytes;
    tensor.keep_alive = copied.owner;
  }

  std::vector<int64_t> sizes(Id id) {
    auto items = tuple_of(pickle_, id);
    require(items.size() <= max_dimensions, "has more than 8 dimensions");
    std::vector<int64_t> values;
    for (Id item : items) {
      require(pickle_.kind(item) == Kind::integer && pickle_.integer(item) >= 0,
              "has a bad extent or stride");
      values.push_back(pickle_.integer(item));
    }
    return values;
  }

  /// Each storage is fetched, and its checksum computed, once.
  std::span<const std::byte> storage_bytes(const StorageReference& storage, uint64_t size) {
    auto [found, fresh] = storages_.try_emplace(storage.key);
    if (fresh) found->second = read_storage_(storage, size);
    require(found->second.size() == size, "shares a storage with a tensor that describes it otherwise");
    return found->second;
  }

  void add_attribute(Id id) {
    std::optional<nlohmann::json> value = plain(id);
    Kind kind = pickle_.kind(id);
    if ((kind == Kind::list || kind == Kind::tuple) && pickle_.items(id).size() <= longest_list) {
      value = nlohmann::json::array();
      for (Id item : pickle_.items(id)) {
        require(++visits_ <= most_visits, "is one of more than 1000000 values");
        auto element = plain(item);
        if (!element) return;
        value->push_back(std::move(*element));
      }
    }
    if (!value) return;
    count_name();
    (*kept_)[path_] = std::move(*value);
  }

  std::optional<nlohmann::json> plain(Id id) {
    switch (pickle_.kind(id)) {
      case Kind::boolean:
        return pickle_.boolean(id);
      case Kind::integer:
        return pickle_.integer(id);
      case Kind::real:
        return pickle_.real(id);
      case Kind::text:
        if (pickle_.text(id).size() > longest_tensor_name) return {};
        count_bytes(pickle_.text(id).size());
        return std::string(pickle_.text(id));
      default:
        return {};
    }
  }

  void count_name() {
    require(++found_ <= most_found, "is one of more than 100000 tensors and attributes");
    count_bytes(path_.size());
  }
  void count_bytes(size_t size) {
    text_bytes_ += size;
    require(text_bytes_ <= most_text, "comes after more than 16 MB of names and texts");
  }

  const FileBytes& file_;
  const Pickle& pickle_;
  const StorageReader& read_storage_;
  StateFile& state_;
  std::map<std::string, nlohmann::json>* kept_ = &state_.attributes;
  uint64_t copy_budget_;
  std::string path_;
  size_t visits_ = 0, found_ = 0, text_bytes_ = 0;
  std::unordered_map<std::string_view, std::span<const std::byte>> storages_;
};

}  // namespace

bool is_persistent_class(const Pickle& pickle, Id persistent) {
  auto parts = tuple_of(pickle, pickle.arguments(persistent));
  return !parts.empty() && is_text(pickle, parts[0], "module");
}

StorageReference storage_reference(const std::string& file, const Pickle& pickle, Id persistent) {
  // ("storage", torch.FloatStorage, key, device, elements), in legacy files with a sixth member, None.
  auto parts = tuple_of(pickle, pickle.arguments(persistent));
  check(parts.size() >= 5 && is_text(pickle, parts[0], "storage") && pickle.kind(parts[1]) == Kind::global &&
            pickle.kind(parts[2]) == Kind::text && pickle.kind(parts[4]) == Kind::integer,
        ErrorKind::model, "{}: a persistent id that describes no storage", file);
  check(parts.size() == 5 || (parts.size() == 6 && pickle.kind(parts[5]) == Kind::none), ErrorKind::model,
        "{}: storages that are views of others are not supported", file);
  const bool is_torch = pickle.module(parts[1]) == "torch";
  auto found = std::find_if(std::begin(storage_names), std::end(storage_names), [&](const StorageName& s) {
    return is_torch && s.name == pickle.name(parts[1]);
  });
  check(found != std::end(storage_names), ErrorKind::model, "{}: a storage of unknown type '{}.{}'", file,
        printable(pickle.module(parts[1])), printable(pickle.name(parts[1])));
  int64_t numel = pickle.integer(parts[4]), bytes;
  check(numel >= 0 && !__builtin_mul_overflow(numel, static_cast<int64_t>(size_of(found->dtype)), &bytes),
        ErrorKind::model, "{}: storage '{}' has {} elements", file, printable(pickle.text(parts[2])), numel);
  return {pickle.text(parts[2]), found->dtype, numel};
}

void walk_torch_tree(const FileBytes& file, const Pickle& pickle, const StorageReader& storage,
                     StateFile& state) {
  TreeWalker(file, pickle, storage, state).run();
}

}  // namespace dalle1::weights
