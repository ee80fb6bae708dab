#include "tests/weights/files.h"
#include "weights/pickle.h"

using namespace dalle1;
using namespace dalle1::test;
using namespace dalle1::weights;
using namespace std::string_literals;
using Kind = Pickle::Kind;

namespace {

Pickle parse(const std::string& content) {
  FileBytes file = bytes_in_memory("f", content);
  return Pickle(file, 0, file.size());
}

std::string refusal(const std::string& content) {
  return refusal_of([&] { parse(content); });
}

/// `count` copies of `part`.
std::string times(size_t count, const std::string& part) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += part;
  return out;
}

}  // namespace

TEST_CASE("pickle: plain values") {
  CHECK(parse("N.").kind(0) == Kind::none);
  CHECK(parse("\x88.").boolean(0));
  CHECK_FALSE(parse("\x89.").boolean(0));
  CHECK(parse("K\xff.").integer(0) == 255);
  CHECK(parse("M\xff\xff.").integer(0) == 65535);
  CHECK(parse("J\xfe\xff\xff\xff.").integer(0) == -2);
  CHECK(parse("\x8a\x01\xff.").integer(0) == -1);
  CHECK(parse("\x8a\x02\xff\x00."s).integer(0) == 255);
  CHECK(parse("\x8a\x00."s).integer(0) == 0);
  CHECK(parse("\x8a\x08\0\0\0\0\0\0\0\x80."s).integer(0) == INT64_MIN);
  CHECK(parse("\x8a\x09\1\1\1\1\1\1\1\1\1."s).kind(0) == Kind::big_integer);
  CHECK(parse("G\x3f\x90\0\0\0\0\0\0."s).real(0) == 1.0 / 64);
  CHECK(parse(text("h\xc3\xa9") + ".").text(0) == "h\xc3\xa9");
  CHECK(parse("\x80\4\x95\3\0\0\0\0\0\0\0\x8c\1a."s).text(0) == "a");
  CHECK(parse("C\2\xff\0."s).text(0) == "\xff\0"s);
}

TEST_CASE("pickle: containers, memo and marks") {
  Pickle list = parse("]q\0(K\1K\2eK\3a."s);
  CHECK(list.kind(list.root()) == Kind::list);
  REQUIRE(list.items(list.root()).size() == 3);
  CHECK(list.integer(list.items(list.root())[2]) == 3);
  Pickle pair = parse("K\5q\1h\1\x86."s);
  CHECK(pair.items(pair.root())[0] == pair.items(pair.root())[1]);
  Pickle dict = parse(dict_pickle({{"a", "K\1"}, {"b", "]"}}));
  CHECK(dict.text(dict.items(dict.root())[2]) == "b");
}

TEST_CASE("pickle: what would run code stays a name") {
  // os.system("echo") in three spellings: the result is an object that remembers what it was asked for.
  for (const std::string& call : {global("os", "system") + "(" + text("echo") + "tR.",
                                  "\x8c\2os\x8c\6system\x93"s + "(" + text("echo") + "t\x81.",
                                  global("builtins", "eval") + text("1") + "\x85R}b."}) {
    Pickle pickle = parse(call);
    CHECK(pickle.kind(pickle.root()) == Kind::object);
    CHECK(pickle.items(pickle.arguments(pickle.root())).size() == 1);
  }
  Pickle call = parse(global("os", "system") + ")R.");
  CHECK(call.is_call_of(call.root(), "os", "system"));
  CHECK_FALSE(call.is_call_of(call.root(), "os", "syste"));
}

TEST_CASE("pickle: self-reference is only a graph") {
  Pickle list = parse("]q\0h\0a."s);
  CHECK(list.items(list.root())[0] == list.root());
  Pickle object = parse(global("m", "c") + ")\x81q\0}"s + text("self") + "h\0sb."s);
  CHECK(object.items(object.state(object.root()))[1] == object.root());
}

TEST_CASE("pickle: broken and hostile streams are refused with the byte") {
  for (const char* code :
       {"i", "o", "S'a'\n.", "V\n.", "I1\n.", "L1L\n.", "F1\n.", "p0\n.", "g0\n.", "P0\n.", "2", "\x82\1.",
        "\x83\1\1.", "\x84\1\1\1\1.", "\x92.", "\x96.", "\x97.", "\x98.", "\xff."})
    CHECK(has(refusal(code), "byte 0 of the pickle is operation"));
  CHECK(has(refusal(""), "cut short"));
  CHECK(has(refusal("K"), "cut short"));
  CHECK(has(refusal("N"), "cut short"));
  CHECK(has(refusal("X\xff\xff\xff\xff"
                    "a."),
            "reaches beyond its end"));
  CHECK(has(refusal("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
                    "a."),
            "reaches beyond its end"));
  CHECK(has(refusal("\x8b\xff\xff\xff\xff"
                    "a."),
            "reaches beyond its end"));
  CHECK(has(refusal("\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), "frame"));
  CHECK(has(refusal(text("\xff") + "."), "not UTF-8"));
  CHECK(has(refusal("cos\nsystem"), "cut short"));
  CHECK(has(refusal("\x80\6N."), "protocol"));
  CHECK(has(refusal("."), "does not end with one value"));
  CHECK(has(refusal("NN."), "does not end with one value"));
  CHECK(has(refusal("(N."), "does not end with one value"));
  CHECK(has(refusal("0."), "empty stack"));
  CHECK(has(refusal("N(0."), "empty stack"));
  CHECK(has(refusal("N(\x85."), "empty stack"));
  CHECK(has(refusal("q\0."s), "empty stack"));
  CHECK(has(refusal("t."), "never began"));
  CHECK(has(refusal("h\5."), "never stored"));
  CHECK(has(refusal("Nr\xff\xff\xff\xff."), "memo index"));
  CHECK(has(refusal("K\1K\2a."), "not a list"));
  CHECK(has(refusal("]K\1K\2s."), "not a dict"));
  CHECK(has(refusal("}(K\1u."), "no value"));
  CHECK(has(refusal("}K\1b."), "not an object"));
  CHECK(has(refusal(global("m", "c") + ")\x81NbNb."), "state twice"));
  CHECK(has(refusal("K\1)R."), "not a name"));
  CHECK(has(refusal(global("m", "c") + "K\1R."), "not a tuple"));
  CHECK(has(refusal("K\1K\2\x93."), "by no text"));
}

TEST_CASE("pickle: the limits of operations and depth") {
  CHECK(has(refusal(times(1'000'001, "N")), "1000000 operations"));
  CHECK(has(refusal(times(101, "(")), "nested deeper"));
  CHECK(refusal(times(99, "]") + times(98, "a") + ".") == "accepted");
  CHECK(has(refusal(times(101, "]") + times(100, "a") + "."), "nested deeper"));
  CHECK(has(refusal("N" + times(101, "\x85") + "."), "nested deeper"));
  CHECK(has(refusal("N" + times(101, "Q") + "."), "nested deeper"));
}

TEST_CASE("pickle: cut short at every byte") {
  const std::string whole = dict_pickle({{"a", tensor(storage("FloatStorage", "0", 4), 0, {2, 2}, {2, 1})}});
  parse(whole);
  for (size_t size = 0; size < whole.size(); ++size) CHECK(has(refusal(whole.substr(0, size)), "byte"));
}
