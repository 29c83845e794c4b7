//! Conversion is exact where it can be, and every unit of the table converts.

use safire_engine::units::{UNITS, groups};
use safire_engine::{Group, Quantity};

#[track_caller]
fn converts(value: f64, unit: &str, group: Group, expected: f64) {
    let converted = Quantity::new(value, unit).in_base_unit(group).unwrap();
    assert_eq!(converted, expected, "{value} {unit}");
}

#[test]
fn everyday_values_convert_to_the_exact_number() {
    converts(500.0, "kt/yr", Group::Capacity, 500_000.0);
    converts(0.1, "kta", Group::Capacity, 100.0);
    converts(2.5, "ktpa", Group::Capacity, 2500.0);
    converts(0.81, "g/cm3", Group::Density, 810.0);
    converts(0.83, "kg/L", Group::Density, 830.0);
    converts(5.4, "USD/kg", Group::PricePerMass, 5400.0);
    converts(930_000.0, "USD/kt", Group::PricePerMass, 930.0);
    converts(55.0, "USD/MWh", Group::PricePerEnergy, 55.0);
    converts(0.055, "USD/kWh", Group::PricePerEnergy, 55.0);
    converts(46.526, "kgCO2e/t", Group::CiPerMass, 46.526);
    converts(20.0, "kgCO2e/MWh", Group::CiPerElectricity, 20.0);
    converts(89.0, "kgCO2e/GJ", Group::CiPerFuelEnergy, 89.0);
    converts(43.8, "GJ/t", Group::EnergyContent, 43.8);
    converts(120.0, "kWh/t", Group::ElectricityYield, 0.12);
    converts(0.12, "kWh/kg", Group::ElectricityYield, 0.12);
    converts(400.0, "MUSD", Group::Money, 400e6);
}

#[test]
fn every_whole_percentage_is_the_number_it_is_written_as() {
    for percent in 0..=100 {
        let written: f64 = format!("{percent}e-2").parse().unwrap();
        converts(f64::from(percent), "%", Group::Ratio, written);
        converts(f64::from(percent), "%", Group::MassYield, written);
    }
    converts(7.7, "%", Group::Ratio, 0.077);
    converts(8.5, "%", Group::Ratio, 0.085);
}

#[test]
fn every_group_starts_with_its_base_unit_and_lists_every_unit_once() {
    let groups = groups();
    assert_eq!(groups.len(), Group::ALL.len());
    for group in &groups {
        assert_eq!(group.units[0].symbol, group.base_unit);
        assert_eq!(group.units[0].factor, 1.0);
    }
    let listed: usize = groups.iter().map(|group| group.units.len()).sum();
    assert_eq!(listed, UNITS.len());
}
