#include "core/io/file_kind.h"

#include <doctest/doctest.h>

#include <string>

using namespace dalle1;
using namespace std::string_literals;

namespace {

bool says(const std::string& bytes, const std::string& part) {
  const std::string kind(file_kind(bytes));
  CAPTURE(kind);
  return kind.find(part) != kind.npos;
}

}  // namespace

TEST_CASE("file kinds: what comes instead of a file") {
  CHECK(says("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"));
  CHECK(says("<!DOCTYPE html>\n<html><head><title>Sign in</title>", "HTML page"));
  CHECK(says("\xEF\xBB\xBF\n <HTML lang=en>", "HTML page"));
  CHECK(says("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"));
  CHECK(says("{\"message\": \"Not Found\"}", "JSON"));
  CHECK(says("404: Not Found", "text"));
  CHECK(says("", "empty file"));
  CHECK(says(" \r\n", "blank"));
}

TEST_CASE("file kinds: packed files name the program that unpacks them") {
  CHECK(says("\x1f\x8b\x08\0"s, "gunzip"));
  CHECK(says("\xfd"s + "7zXZ\0"s, "unxz"));
  CHECK(says("\x28\xb5\x2f\xfd\x04", "unzstd"));
  CHECK(says("BZh91AY", "bunzip2"));
  CHECK(says("PK\3\4", "zip"));
  CHECK(says(std::string(257, '\0') + "ustar\0"s, "tar"));
}

TEST_CASE("file kinds: other programs' models, and pictures") {
  CHECK(says("GGUF\3\0\0\0"s, "GGUF"));
  CHECK(says("\x89HDF\r\n\x1a\n", "HDF5"));
  CHECK(says("\x08\x07\x12\x07pytorch", "ONNX"));
  CHECK(says("\x83\xa6params\x82", "Flax"));
  CHECK(says("\x80\x04\x95\0\0"s, "pickle"));
  CHECK(says("\x10\0\0\0\0\0\0\0{\"a\": "s, "safetensors"));
  CHECK(says("\x93NUMPY\1\0"s, "NumPy"));
  CHECK(says("GIF89a", "GIF"));
  CHECK(says("BM\x46\4\0\0\0\0\0\0\x36"s, "BMP"));
  CHECK(says("BMW in the rain", "text"));
  CHECK(says("RIFF\4\0\0\0WEBPVP8 "s, "WebP"));
  CHECK(says("\0\0\0\x18"s + "ftypheic", "HEIC"));
  CHECK(file_kind("\x01\x02\xfe\xff").empty());
  CHECK(but_it_is("\x01\x02\xfe\xff"s).empty());
  CHECK(but_it_is("GIF89a"s) == ", but a GIF picture (convert it to PNG)");
}
