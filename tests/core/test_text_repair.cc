#include <doctest/doctest.h>

#include "core/text/html_entities.h"
#include "core/text/mojibake.h"
#include "core/text/text_repair.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

using namespace dalle1::text;

namespace {

std::string html(const char* text) { return to_utf8(unescape_html(to_code_points(text))); }
std::string strict_html(const char* text) { return to_utf8(unescape_html_strictly(to_code_points(text))); }
std::string mojibake(const char* text) { return to_utf8(repair_mojibake(to_code_points(text))); }
std::string repaired(const char* text) { return to_utf8(repair_text(to_code_points(text))); }

// What a program shows that reads UTF-8 as Latin-1.
std::u32string misread(const std::u32string& text) {
  std::u32string out;
  for (const char byte : to_utf8(text)) out += static_cast<unsigned char>(byte);
  return out;
}

}  // namespace

TEST_CASE("HTML references are decoded as browsers do") {
  CHECK(html("&lt;b&gt; &amp;amp; &copy &copyright &notit; &notin;") == "<b> &amp; © ©right ¬it; ∉");
  CHECK(html("&NotEqualTilde; &fjlig; &CounterClockwiseContourIntegral;") == "≂\u0338 fj ∳");
  CHECK(html("&#65;&#66 &#x1F600;&#X41 &#0; &#13; &#128; &#x9f; &#129;") == "AB 😀A \uFFFD \r € Ÿ \u0081");
  CHECK(html("&#xD800; &#x110000; &#99999999999999; &#1; &#x7f; &#xFDD0; &#x1FFFF; &#11;") ==
        "\uFFFD \uFFFD \uFFFD     ");
  CHECK(html("& && &; &# &#; &#x; &#xg; &unknown; &a") == "& && &; &# &#; &#x; &#xg; &unknown; &a");
  CHECK(html("AT&T R&D a&b&lt") == "AT&T R&D a&b<");
}

TEST_CASE("the strict form decodes only what is unambiguous") {
  CHECK(strict_html("&lt; &notit; &copy &eacute; &EACUTE; &nTILDE; &SZLIG; &#233; &#x1F600; &#12ab;") ==
        "< &notit; &copy é É &nTILDE; SS é 😀 &#12ab;");
}

TEST_CASE("mojibake is undone, in whole lines, in parts and when it happened twice") {
  CHECK(mojibake("cafÃ© mojibake") == "café mojibake");
  CHECK(mojibake("donâ€™t â€” “quoted” schön Ã¼ber") == "don’t — “quoted” schön über");
  CHECK(mojibake("ÃƒÂ©tÃƒÂ©") == "été");
  CHECK(mojibake("ðŸ˜€ æ—¥æœ¬èªž ÐŸÑ€Ð¸Ð²ÐµÑ‚") == "😀 日本語 Привет");
  CHECK(mojibake("20Â° ©Â® 5€") == "20° ©® 5€");
  CHECK(mojibake("RÄ«ga LietuviÅ³ DOS AÃ‘OS IL2RÎ³cKO") == "Rīga Lietuvių DOS AÑOS IL2RγcKO");
  CHECK(mojibake("ÐŸÑ€Ð¸Ð²ÐµÑ‚ café") ==
        "Привет café");  // the whole run, though its last letter alone would pass
  for (const std::u32string text :
       {U"über die Straße", U"日本語のテキスト", U"Привет, мир", U"🐱 — “quoted” é"}) {
    CHECK(repair_mojibake(misread(text)) == text);
    CHECK(repair_mojibake(misread(misread(text))) == text);
  }
}

TEST_CASE("mojibake: a no-break space that became a plain space, and lost bytes (as ftfy 6.3 has it)") {
  CHECK(mojibake("Ã  la carte") == "à la carte");
  CHECK(mojibake("Ã la carte") == "à la carte");  // the word's own space is left
  CHECK(mojibake("voilÃ  !") == "voilà !");
  CHECK(mojibake("l'Ã©tÃ© Ã  Paris") == "l'été à Paris");
  CHECK(mojibake("vou Ã s 5") == "vou às 5");
  CHECK(mojibake("photoÂ of") == "photo\u00A0of");
  CHECK(mojibake("priceÂ £10") == "price\u00A0£10");
  CHECK(mojibake("red dressÂ ") == "red dress\u00A0");
  CHECK(mojibake("prix Â 10") == "prix \u00A010");
  CHECK(mojibake("Ð Ð¾Ñ\u0081Ñ\u0081Ð¸Ñ\u008F") == "Россия");
  CHECK(mojibake("a â€œquoteâ€\uFFFD here") == "a “quote\uFFFD here");
  CHECK(mojibake("donâ€?t") == "don\uFFFDt");
  CHECK(mojibake("Ã\uFFFDtÃ©") == "\uFFFDté");
  for (const char* sound :
       {"A Â B", "10 Â 20", "Å koda", "Ãs vezes", "Ã", "«Ã bientôt»", "é?", "Où ? Là ?", "Å i Ø", "what?"})
    CHECK(mojibake(sound) == sound);
}

TEST_CASE("sound text is left alone") {
  for (const char* text :
       {"café naïve résumé", "NESTLÉ®", "“Spaß“ — ‘fußball’", "IRMÃ” e MÃ–", "ÀÉÎÕÜ àéîõü", "5 × 3 ÷ 2 ± 1",
        "Ça va…", "São João, Nuñez, Ærøskøbing", "¿Qué? ¡Sí!", "Привет", "日本語", "naïve “café”…", "",
        "FRANÇAIS», «déjà»", "!YO SÉ¡", "QUEM É¿", "SELKÄ\u00A0EDELLÄ\u00A0MAAHAN", "100 € ‰ ™"}) {
    CAPTURE(text);
    CHECK(mojibake(text) == text);
  }
}

TEST_CASE("repair: quotes, ligatures, widths, line breaks, controls, composition") {
  CHECK(repaired("“a” ‘b’ ‚c„ ʼn") == "\"a\" 'b' 'c\" 'n");
  CHECK(repaired("ﬁ ﬄ ﬆ ĳ ǆ") == "fi ffl st ij dž");
  CHECK(repaired("ＡＢＣ１！　ｱﾊﾟ ￦") == "ABC1! アパ ₩");
  CHECK(repaired("a\r\nb\rc\u2028d\u2029e\u0085f") == "a\nb\nc\nd\ne…f");
  CHECK(repaired("\x1B[1;31mred\x1B[0m \x1B[ bell\x07 \uFEFFbom \u206Ax \uFFFC\x7F") == "red [ bell bom x ");
  CHECK(repaired("cafe\u0301 \u212B") == "café Å");
  CHECK(repaired("&amp;amp;lt;") == "<");
  CHECK(repaired("a &amp; b\n<i>\n&amp;") == "a & b\n<i>\n&amp;");  // markup is kept from its first line on
  CHECK(repaired("") == "");
}

TEST_CASE("lower-casing is full Unicode lower-casing") {
  CHECK(to_utf8(lower_case(U"ΣΑΣ ΌΣΟΣ \u0130 ẞ Ⅷ")) == "σας όσος i\u0307 ß ⅷ");
  CHECK(strip(U"\u3000 \x1C x y \u0085\n") == U"x y");
}
