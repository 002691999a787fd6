.PHONY: test demo lint bench chaos
test: ; cargo xtask test
demo: ; cargo xtask demo
lint: ; cargo xtask lint
bench: ; cargo xtask bench
chaos: ; cargo xtask chaos
