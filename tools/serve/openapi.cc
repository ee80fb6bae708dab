#include "tools/serve/openapi.h"

#include "tools/serve/api.h"
#include "tools/serve/judging.h"

namespace dalle1::serve {
namespace {

using rerank::Json;

template <typename T>
Json type_of(const config::Rule& rule) {
  if constexpr (std::same_as<T, bool>) {
    return {{"type", "boolean"}};
  } else if constexpr (std::same_as<T, std::string>) {
    Json schema = {{"type", "string"}};
    for (const auto choice : rule.choices) schema["enum"].push_back(choice);
    return schema;
  } else if constexpr (std::is_arithmetic_v<T>) {
    Json schema = {{"type", std::integral<T> ? "integer" : "number"}};
    const auto bound = [](double value) {
      return std::integral<T> ? Json(static_cast<int64_t>(value)) : Json(value);
    };
    if (std::isfinite(rule.range.low))
      schema[rule.range.above ? "exclusiveMinimum" : "minimum"] = bound(rule.range.low);
    if (std::isfinite(rule.range.high)) schema["maximum"] = bound(rule.range.high);
    if (std::unsigned_integral<T> && !std::isfinite(rule.range.low)) schema["minimum"] = 0;
    return schema;
  } else {
    const auto item = type_of<typename T::value_type>(rule);
    const Json list = {{"type", "array"}, {"items", item}};
    return rule.one_or_list ? Json{{"oneOf", {item, list}}} : list;
  }
}

struct SchemaWriter {
  Json& properties;

  template <typename T>
  void operator()(std::string_view name, const T& value, const config::Rule& rule) {
    Json schema = type_of<T>(rule);
    if (!rule.help.empty()) schema["description"] = rule.help;
    // What is settled with the rest of the request has no default of its own.
    const bool settled = name == "n" || name == "keep" || name == "candidates" || name == "seed" ||
                         name == "keep_rows" || name == "prompt" || name == "model";
    if (!settled && !requires_list<T>) schema["default"] = value;
    properties[std::string(name)] = std::move(schema);
  }
  template <typename T>
  static constexpr bool requires_list = requires(T list) {
    list.emplace_back();
  }
  &&!std::same_as<T, std::string>;
};

Json file_schema(const char* description) {
  return {{"type", "string"}, {"format", "binary"}, {"description", description}};
}

Json object_schema(Json properties, std::vector<std::string> required) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

Json body_of(const std::vector<std::pair<std::string, Json>>& schemas) {
  Json content = Json::object();
  for (const auto& [type, schema] : schemas) content[type] = {{"schema", schema}};
  return {{"required", true}, {"content", std::move(content)}};
}

template <typename Fields>
Json properties_of() {
  Json properties = Json::object();
  SchemaWriter write{properties};
  Fields fields;
  Fields::visit(fields, write);
  return properties;
}

Json pictures_schema() {
  return {{"type", "array"}, {"items", file_schema("A PNG or JPEG")}, {"minItems", 1}};
}

Json answers_of(const Api::Route& route) {
  const std::string path = route.path;
  const bool draws = route.answer == nullptr, reads = route.body != nullptr;
  Json content = {{path == "/metrics" ? "text/plain" : "application/json", Json::object()}};
  if (draws) content["text/event-stream"] = Json::object();
  Json answers = {{"200", {{"description", "Done"}, {"content", std::move(content)}}}};
  const Json error = {
      {"description", "An error"},
      {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
  if (reads)
    for (const char* status : {"400", "413", "415", "503"}) answers[status] = error;
  if (draws) answers["429"] = error;
  if (!route.open) answers["401"] = error;
  if (path.find('{') != path.npos) answers["404"] = error;
  return answers;
}

Json operation_of(const Api::Route& route) {
  Json operation = Json::object();
  if (route.open) operation["security"] = Json::array();
  const std::string path = route.path;
  if (path.find("{id}") != path.npos)
    operation["parameters"] =
        Json::array({{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  if (route.body) operation["requestBody"] = route.body();
  operation["responses"] = answers_of(route);
  return operation;
}

Json error_schema() {
  const Json text_or_null = {{"type", {"string", "null"}}};
  return {{"type", "object"},
          {"properties",
           {{"error",
             {{"type", "object"},
              {"properties",
               {{"message", {{"type", "string"}}},
                {"type", {{"type", "string"}}},
                {"param", text_or_null},
                {"code", text_or_null}}}}}}}};
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

Json image_body(ImageTask task) {
  Json properties = Json::object();
  SchemaWriter write{properties};
  rerank::GenerationOptions options;
  ImageFields fields;
  rerank::GenerationOptions::visit(options, write);
  ImageFields::visit(fields, write);
  if (task == ImageTask::edit) ImageFields::visit_edit(fields, write);
  if (task == ImageTask::variation) ImageFields::visit_variation(fields, write);
  std::vector<std::string> required;
  if (task != ImageTask::variation) required.push_back("prompt");
  if (task != ImageTask::generation) {
    required.push_back("image");
    properties["image"] = file_schema("A PNG or JPEG; its centred square is used");
  }
  if (task == ImageTask::edit)
    properties["mask"] = file_schema("A PNG of the image's size: redraw where it is transparent, or white");
  const char* type = task == ImageTask::generation ? "application/json" : "multipart/form-data";
  return body_of({{type, object_schema(std::move(properties), std::move(required))}});
}

Json rank_body() {
  auto properties = properties_of<RankFields>();
  properties["image"] = pictures_schema();
  return body_of({{"multipart/form-data", object_schema(std::move(properties), {"prompt", "image"})}});
}

Json embeddings_body() {
  auto texts = properties_of<EmbeddingFields>();
  auto pictures = texts;
  pictures.erase("input");
  pictures["image"] = pictures_schema();
  return body_of({{"application/json", object_schema(std::move(texts), {"input"})},
                  {"multipart/form-data", object_schema(std::move(pictures), {"image"})}});
}

Json captions_body() {
  auto properties = properties_of<CaptionFields>();
  properties["image"] = pictures_schema();
  return body_of({{"multipart/form-data", object_schema(std::move(properties), {"image"})}});
}

Json openapi_document() {
  Json paths = Json::object();
  for (const auto& route : Api::routes()) paths[route.path][lower(route.method)] = operation_of(route);
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "dalle1"},
            {"version", DALLE1_VERSION},
            {"description",
             "Draws pictures from text, completes and varies pictures, as the first DALL-E did."}}},
          {"paths", std::move(paths)},
          {"security", Json::array({{{"key", Json::array()}}})},
          {"components",
           {{"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}},
            {"schemas", {{"Error", error_schema()}}}}}};
}

}  // namespace dalle1::serve
