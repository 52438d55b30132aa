# What the README and the manual say is so: every directive exists, every setting is in the manual, the lines work.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Cwd qw(getcwd);
use Test::More;

my $build = getcwd() . '/' . ($ENV{HEARTBEAT_BUILD} // 'build');
my $folder = tempdir(CLEANUP => 1);
mkdir "$folder/$_" for qw(logs site);
chmod 0755, $folder;

sub slurp { open my $in, '<', $_[0] or die "$_[0]: $!"; local $/; <$in> }
sub block { my ($text, $language) = @_; $text =~ /```$language\n(.*?)```/s ? $1 : die "no $language block" }
sub config { my ($text) = @_; open my $out, '>', "$folder/conf" or die $!; print $out $text; close $out; "$folder/conf" }

my $readme = slurp('README.md');
like($readme, qr/^make run$/m, 'make run is shown');
like($readme, qr/^make test$/m, 'make test is shown');

my $nginx = block($readme, 'nginx');
$nginx =~ s/^load_module \S+;.*\n//;
my $out = `nginx -t -c @{[ config("load_module $build/ngx_http_heartbeat_module.so; error_log $folder/logs/e; pid $folder/p; events {} http { server { $nginx } }") ]} 2>&1`;
is($?, 0, 'the lines for nginx') or diag $out;

my $apache = block($readme, 'apache');
$apache =~ s/^LoadModule .*\n//;
my @modules = map {"LoadModule ${_}_module /usr/lib/apache2/modules/mod_$_.so\n"} qw(mpm_event authz_core);
$out = `apache2 -t -d $folder -f @{[ config("@modules LoadModule http_heartbeat_module $build/mod_http_heartbeat.so\nServerName x\nListen 127.0.0.1:9\nErrorLog $folder/logs/a\n$apache") ]} 2>&1`;
is($?, 0, 'the lines for Apache') or diag $out;

my $settings = slurp('docs/settings.md');
is($settings, `$build/settings_table`, 'docs/settings.md is of this table');
my %known = map { $_ => 1 } $settings =~ /`(heartbeat_\w+|Heartbeat[A-Z]\w+)`/g;
for my $file ('README.md', glob('docs/*.md conf.example/*.conf')) {
    my @unknown = grep { !$known{$_} } slurp($file) =~ /\b(heartbeat_(?!module)[a-z_]+|Heartbeat[A-Z][A-Za-z]+)\b/g;
    is_deeply(\@unknown, [], "$file names no directive that does not exist");
}
for my $file ('README.md', glob 'docs/*.md') {
    my ($dir) = $file =~ m{^(.*/)?};
    my @broken = grep { !-e ($dir // '') . $_ } slurp($file) =~ /\]\(([^)#:]+)\)/g;
    is_deeply(\@broken, [], "the links of $file lead somewhere");
}
done_testing;
