"""axe-core looks at a page for what hinders readers who cannot see or use no mouse."""


def violations(page, *rules, within=None):
    """Run axe-core, or some of its rules; list what hinders readers seriously, with the places."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": list(rules)} if rules else {}
    options = {"resultTypes": ["violations"], **options}
    found = Axe().run(page, context=within, options=options).response
    looked = {rule["id"] for rule in found["passes"] + found["violations"]}
    assert len(looked) > (5 if within else 15) or set(rules) & looked, "axe-core hardly looked"
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
