"""Units of NEST's parameters, which NEST itself does not tell."""

_UNITS = {
    "C_m": "pF",
    "I_e": "pA",
    "t_ref": "ms",
    "amplitude": "pA",
    "rate": "Hz",
    "frequency": "Hz",
    "start": "ms",
    "stop": "ms",
    "origin": "ms",
    "interval": "ms",
    "offset": "ms",
    "dt": "ms",
    "spike_times": "ms",
    "delay": "ms",
    "Delta_T": "mV",
    "I_syn_ex": "pA",
    "I_syn_in": "pA",
}
_PREFIXES = {"V_": "mV", "E_": "mV", "tau_": "ms", "g_": "nS"}


def unit(name: str) -> str:
    """Return the unit of a parameter or recordable as in `pF`, or an empty string where it is not known."""
    return _UNITS.get(name) or next((u for prefix, u in _PREFIXES.items() if name.startswith(prefix)), "")
