#pragma once
// What most unit tests include, compiled once.
#include "asio_pch.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
