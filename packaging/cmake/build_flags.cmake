# Compiler and linker flags, and the libraries that Debian has as static archives.
add_library(kb_flags INTERFACE)
target_include_directories(kb_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(kb_flags INTERFACE
  KEYBEARER_VERSION="${PROJECT_VERSION}"
  FMT_HEADER_ONLY
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  BOOST_ERROR_CODE_HEADER_ONLY)
target_compile_options(kb_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -Wno-sign-conversion -Wnon-virtual-dtor -Wimplicit-fallthrough
  -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero
  -fvisibility=hidden -ffunction-sections -fdata-sections -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
target_compile_options(kb_flags INTERFACE -Xclang -fno-pch-timestamp)
add_link_options(-fuse-ld=lld -Wl,--icf=all)
target_compile_definitions(kb_flags INTERFACE _GLIBCXX_ASSERTIONS)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(kb_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
add_link_options(-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--gc-sections)

if(KEYBEARER_SANITIZE)
  add_compile_options(-fsanitize=${KEYBEARER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${KEYBEARER_SANITIZE})
endif()

if(KEYBEARER_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)  # without it the fuzzer does not see where it gets
endif()

if(KEYBEARER_STATIC)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
  set(OPENSSL_USE_STATIC_LIBS TRUE)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  add_compile_options(-fPIE)
  set(PROGRAM_LINK_OPTIONS -static-pie -s -Wl,-z,pack-relative-relocs -Wl,--build-id=none)
endif()
find_library(RE2_LIBRARY re2 REQUIRED)

# A C library's unwind tables are a tenth of a megabyte each and more: no exception passes through it.
function(without_unwind_tables archive result)
  get_filename_component(name ${archive} NAME)
  set(copy ${CMAKE_BINARY_DIR}/archives/${name})
  if(${archive} IS_NEWER_THAN ${copy})
    file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/archives)
    execute_process(COMMAND ${CMAKE_OBJCOPY} --remove-section=.eh_frame --remove-section=.rela.eh_frame ${archive} ${copy}
                    COMMAND_ERROR_IS_FATAL ANY)
  endif()
  set(${result} ${copy} PARENT_SCOPE)
endfunction()

find_package(OpenSSL REQUIRED)
if(KEYBEARER_STATIC)
  foreach(part Crypto SSL)
    get_target_property(archive OpenSSL::${part} IMPORTED_LOCATION)
    without_unwind_tables(${archive} archive)
    set_target_properties(OpenSSL::${part} PROPERTIES IMPORTED_LOCATION ${archive})
  endforeach()
endif()
