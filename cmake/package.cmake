# `cpack -G DEB` in a build tree: dalle1 (program, model, manual) and libdalle1-dev (headers, libraries, CMake package).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME dalle1)
set(CPACK_PACKAGE_VENDOR "The dalle1 authors")
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL program development)
set(CPACK_COMPONENTS_GROUPING IGNORE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The dalle1 authors <authors@dalle1.invalid>" CACHE STRING
    "Who distributes the packages: 'Name <address>'")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")  # Each package begins its description with its own.

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME dalle1)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION graphics)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS fonts-dejavu-core)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "DALL-E 1 in C++: draws pictures from text
A transformer with sparse attention turns a prompt into image tokens, a
discrete VAE turns these into pixels, and CLIP ranks the candidates. Every
part can be trained; published checkpoints of OpenAI's dVAE and CLIP and of
ru-dalle are read as they are. A small model comes with the program.
.
The program needs a processor with AVX2 and FMA (x86-64-v3).")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libdalle1-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# What the CMake package looks for and the headers include; oneDNN's own CMake package looks for OpenCL.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libdnnl-dev, ocl-icd-opencl-dev, libeigen3-dev, libsentencepiece-dev, \
nlohmann-json3-dev, libfmt-dev, libicu-dev, libarchive-dev, zlib1g-dev, libssl-dev, libfreetype-dev, pkg-config")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS dalle1)
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "DALL-E 1 in C++: libraries and headers
Tensors, operations with gradients, sparse attention, training loops, and the
three models: the transformer, the discrete VAE and CLIP, with reranking.
Static libraries, a CMake package (dalle1::dalle1_rerank and others) and a
pkg-config file. The default model is in the package dalle1.")

# /usr/share/doc/PACKAGE: copyright and the two changelogs that Debian asks for.
set(documents ${PROJECT_BINARY_DIR}/package-documents)
file(READ LICENSE licence)
file(READ NOTICE notice)
file(WRITE ${documents}/copyright "${licence}\n${notice}\nOn Debian the Apache License 2.0 and the GNU General Public License \
3 are in /usr/share/common-licenses/Apache-2.0\nand /usr/share/common-licenses/GPL-3.\n")
file(COPY_FILE CHANGELOG.md ${documents}/changelog)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(${CMAKE_CURRENT_LIST_DIR}/package/changelog.Debian.in ${documents}/changelog.Debian @ONLY)
execute_process(COMMAND gzip -9nf ${documents}/changelog ${documents}/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)
foreach(pair program:dalle1 development:libdalle1-dev)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 package)
  install(FILES ${documents}/copyright ${documents}/changelog.gz ${documents}/changelog.Debian.gz
          DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component} EXCLUDE_FROM_ALL)
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/package/${package}.lintian-overrides
          DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME ${package}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

include(CPack)
