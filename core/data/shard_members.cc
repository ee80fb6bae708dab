#include "core/data/shard_members.h"

#include "core/data/pair_fields.h"

namespace dalle1 {

ShardMembers::Key& ShardMembers::key_of(const std::string& name) {
  const auto [place, is_new] = key_places_.try_emplace(name, keys_.size());
  if (is_new) keys_.push_back({name, {}});
  return keys_[place->second];
}

ShardMembers::Stem& ShardMembers::stem_of(const std::string& name, Key& key) {
  const auto [place, is_new] = stem_places_.try_emplace(name, stems_.size());
  if (is_new) {
    key.stems.push_back(stems_.size());
    stems_.push_back({name});
  }
  return stems_[place->second];
}

void ShardMembers::leave_out(const std::string& why, uint64_t count) const {
  if (count > 0) summary_.left_out[why] += count;
}

void ShardMembers::add(const std::string& name, uint64_t offset) {
  const FieldKind kind = field_kind(name);
  if (kind == FieldKind::other) return;
  if (is_hidden(name)) return leave_out(left_out::kHidden, 1);
  Key& key = key_of(name.substr(0, name.find('.', name.rfind('/') + 1)));  // npos + 1 is 0
  if (kind == FieldKind::other_picture) {
    key.has_other_picture = true;
    return leave_out("." + lower_ending(name), 1);
  }
  Stem& stem = stem_of(name.substr(0, name.rfind('.')), key);
  uint64_t& place = kind == FieldKind::picture ? stem.picture
                    : kind == FieldKind::text  ? stem.text
                                               : stem.json;
  if (place != kNoMember) return leave_out(left_out::kRepeated, 1);
  place = offset;
}

std::vector<ShardSample> ShardMembers::samples() const {
  std::vector<ShardSample> samples;
  for (const Key& key : keys_) append(key, samples);
  return samples;
}

void ShardMembers::append(const Key& key, std::vector<ShardSample>& samples) const {
  std::vector<uint64_t> pictures, texts, jsons;  // of stems that lack a picture or a caption
  const size_t before = samples.size();
  uint64_t plain = kNoMember;
  for (const size_t place : key.stems) {
    const Stem& stem = stems_[place];
    const bool has_picture = stem.picture != kNoMember;
    if (has_picture && stem.has_caption()) {
      samples.push_back({stem.picture, stem.text != kNoMember ? stem.text : stem.json});
      continue;
    }
    if (has_picture) pictures.push_back(stem.picture);
    if (has_picture && stem.name == key.name) plain = stem.picture;
    if (stem.text != kNoMember) texts.push_back(stem.text);
    if (stem.json != kNoMember) jsons.push_back(stem.json);
  }
  if (samples.size() > before) return leave_out(left_out::kUnpaired, pictures.size() + texts.size());
  if (pictures.empty())
    return leave_out(left_out::kWithoutPicture, key.has_other_picture ? 0 : key.stems.size());

  if (plain != kNoMember && pictures.size() > 1) {
    leave_out(left_out::kUnpaired, pictures.size() - 1);
    pictures = {plain};
  }
  const std::vector<uint64_t>& captions = texts.empty() ? jsons : texts;
  if (pictures.size() == 1) {
    samples.push_back({pictures[0], captions.size() == 1 ? captions[0] : kNoMember});
    if (captions.size() > 1) leave_out(left_out::kUnpaired, captions.size());
  } else if (captions.empty()) {
    for (const uint64_t picture : pictures) samples.push_back({picture});
  } else {
    leave_out(left_out::kUnpaired, pictures.size() + texts.size());
  }
}

}  // namespace dalle1
