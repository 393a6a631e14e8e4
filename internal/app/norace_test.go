//go:build !race

package app_test

const fewer = 1
